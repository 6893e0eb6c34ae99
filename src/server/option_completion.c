/*
 * Completion of the command line for shells, made from the table of options: what `--completion SHELL` prints, and
 * `make install` puts where the shells look.
 */
#include "option_table.h"

#include <stdio.h>
#include <string.h>

/* Longest description of an option that is shown beside it. */
#define DESCRIPTION_MAX 60

/* What an option's argument can be: a file ("FILE", "FILE[,...]"), a directory, or one of some words ("std|none"). */
static bool takes_file(const struct option_row *row)
{
    return row->argument && !strncmp(row->argument, "FILE", 4);
}

static bool takes_directory(const struct option_row *row)
{
    return row->argument && !strcmp(row->argument, "DIR");
}

/* Words are lower-case, what stands for something is upper-case. */
static bool takes_words(const struct option_row *row)
{
    return row->argument && !takes_file(row) && !strpbrk(row->argument, "ABCDEFGHIJKLMNOPQRSTUVWXYZ=,[");
}

static void print_words(const char *argument)
{
    for (; *argument; argument++)
        putchar(*argument == '|' ? ' ' : *argument);
}

/* The beginning of the help, without what shells mind. */
static void print_description(const struct option_row *row)
{
    const char *text = row->help;
    size_t len = strcspn(text, ";(");

    if (len > DESCRIPTION_MAX)
        for (len = DESCRIPTION_MAX; text[len] != ' '; len--)
            ;
    while (len && (text[len - 1] == ' ' || text[len - 1] == ','))
        len--;
    for (size_t i = 0; i < len; i++)
        if (!strchr("'\"[]{}:\\`$", text[i]))
            putchar(text[i]);
        else if (text[i] == ':')
            putchar(',');
}

static bool is_letter(const struct option_row *row)
{
    return strlen(row->name) == 1;
}

/* ---- bash ---- */

static void bash_names(bool (*which)(const struct option_row *))
{
    bool first = true;

    for (const struct option_row *row = option_table; row->name; row++) {
        if (!which(row))
            continue;
        printf("%s--%s|-%s", first ? "    " : "|", row->name, row->name);
        first = false;
    }
    printf(")");
}

static bool takes_other(const struct option_row *row)
{
    return row->argument && !takes_file(row) && !takes_directory(row) && !takes_words(row);
}

static void print_bash(void)
{
    printf("# bash completion for hindcast\n_hindcast()\n{\n"
           "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n    COMPREPLY=()\n    case $prev in\n");
    for (const struct option_row *row = option_table; row->name; row++) {
        if (!takes_words(row))
            continue;
        printf("    --%s|-%s) COMPREPLY=($(compgen -W '", row->name, row->name);
        print_words(row->argument);
        printf("' -- \"$cur\")); return ;;\n");
    }
    bash_names(takes_file);
    printf(" compopt -o filenames; COMPREPLY=($(compgen -f -- \"$cur\")); return ;;\n");
    bash_names(takes_directory);
    printf(" compopt -o filenames; COMPREPLY=($(compgen -d -- \"$cur\")); return ;;\n");
    bash_names(takes_other);
    printf(" return ;;\n    esac\n    if [[ $cur == -* ]]; then\n        COMPREPLY=($(compgen -W '");
    for (const struct option_row *row = option_table; row->name; row++)
        if (row->help)
            printf("%s%s ", is_letter(row) ? "-" : "--", row->name);
    printf("' -- \"$cur\"))\n    else\n        compopt -o filenames\n        COMPREPLY=($(compgen -f -- \"$cur\"))\n"
           "        [[ $COMP_CWORD -gt 1 ]] || COMPREPLY+=($(compgen -W 'info verify' -- \"$cur\"))\n    fi\n}\n"
           "complete -F _hindcast hindcast\n");
}

/* ---- zsh ---- */

static void print_zsh(void)
{
    printf("#compdef hindcast\n_arguments \\\n");
    for (const struct option_row *row = option_table; row->name; row++) {
        if (!row->help)
            continue;
        printf("  '*%s%s[", is_letter(row) ? "-" : "--", row->name);
        print_description(row);
        printf("]");
        if (row->argument)
            printf(":%s:", takes_file(row) ? "file" : takes_directory(row) ? "directory" : "value");
        if (takes_file(row))
            printf("_files");
        if (takes_directory(row))
            printf("_files -/");
        if (takes_words(row)) {
            printf("(");
            print_words(row->argument);
            printf(")");
        }
        printf("' \\\n");
    }
    printf("  '*:file:_files'\n");
}

/* ---- fish ---- */

static void print_fish(void)
{
    printf("# fish completion for hindcast\n"
           "complete -c hindcast -n __fish_is_first_arg -a info -d 'what a recording holds'\n"
           "complete -c hindcast -n __fish_is_first_arg -a verify -d 'replay a recording, comparing hashes'\n");
    for (const struct option_row *row = option_table; row->name; row++) {
        if (!row->help)
            continue;
        printf("complete -c hindcast %s %s", is_letter(row) ? "-s" : "-l", row->name);
        if (takes_file(row))
            printf(" -r");
        else if (takes_directory(row))
            printf(" -x -a '(__fish_complete_directories)'");
        else if (row->argument)
            printf(" -x");
        if (takes_words(row)) {
            printf(" -a '");
            print_words(row->argument);
            printf("'");
        }
        printf(" -d '");
        print_description(row);
        printf("'\n");
    }
}

void options_print_completion(const char *shell)
{
    if (!strcmp(shell, "bash"))
        print_bash();
    else if (!strcmp(shell, "zsh"))
        print_zsh();
    else
        print_fish();
}
