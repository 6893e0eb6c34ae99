/*
 * A boot sector that tries the disk services of the BIOS that loaded it (INT 13h; Phoenix, Enhanced Disk Drive 3.0; El Torito 1.0)
 * on the drive that it came from, says on the first serial port what it found, and ends the guest through port F4h: 2 is well,
 * else the number of what went wrong.
 *
 * The medium has in each sector's last word the number of the sector (512 bytes, from 0), but in this one. With CDROM defined it is on a
 * CD without emulation.
 */
        .code16
        .globl  _start
_start: xor     %ax, %ax
        mov     %ax, %ds
        mov     %ax, %es
        mov     %ax, %ss
        mov     $0x7c00, %sp
        mov     %dl, drive
        mov     $name, %si
        call    say
        mov     drive, %al
        call    say_hex

        mov     drive, %dl
        mov     $0x41, %ah              // extensions?
        mov     $0x55aa, %bx
        int     $0x13
        jc      chs
        cmp     $0xaa55, %bx
        jne     chs
        mov     $by_lba, %si
        call    say
#ifdef CDROM
        mov     $0x4b01, %ax            // is it that CD, without emulation?
        mov     $0x600, %si
        int     $0x13
        mov     $3, %al
        jc      end
        cmpb    $0, 0x601
        jne     end
        mov     $4, %al
        movw    $1, count
        movl    $16, lba                // the primary volume descriptor
        call    extended
        jc      end
        cmpl    $0x30304443, 0x8001     // "CD00"
        jne     end
        jmp     well
#else
        mov     $4, %al
        movw    $1, count
        movl    $1, lba
        call    extended
        jc      end
        mov     $1, %bx
        call    compare
        jne     end
        mov     $5, %al
        movw    $63, count              // many at once
        movl    $100, lba
        call    extended
        jc      end
        mov     $100, %bx
        call    compare
        jne     end
        cmpw    $162, 0x8000 + 62 * 512 + 510
        jne     end
        movw    $1, count
        movl    $200, lba
        mov     $0x4300, %cx            // written, and read again
        movw    $0x5aa5, 0x8000
        call    extended_as
        mov     $6, %al
        jc      end
        movw    $0, 0x8000
        call    extended
        jc      end
        cmpw    $0x5aa5, 0x8000
        jne     end
#endif

chs:    mov     $by_chs, %si
        call    say
        mov     drive, %dl
        mov     $8, %ah                 // its geometry
        int     $0x13
        mov     $7, %al
        jc      end
        xor     %ax, %ax
        mov     %ax, %es                // INT 13h/8 changed it
        and     $63, %cl
        mov     %cl, sectors
        mov     $0x0201, %ax            // the last sector of the first track, the first of the next head
        mov     $0x8000, %bx
        mov     drive, %dl
        mov     $0, %dh
        mov     $0, %ch
        int     $0x13
        mov     $8, %al
        jc      end
        movzbw  sectors, %bx
        dec     %bx
        call    compare
        jne     end
        mov     $0x0202, %ax
        mov     $0x8000, %bx
        mov     $1, %cx
        mov     drive, %dl
        mov     $1, %dh
        int     $0x13
        mov     $9, %al
        jc      end
        movzbw  sectors, %bx
        call    compare
        jne     end
well:   mov     $fine, %si
        call    say
        mov     $2, %al
end:    out     %al, $0xf4
1:      hlt
        jmp     1b

/* The first sector at 8000h: is it number BX? ZF. */
compare:
        cmp     %bx, 0x8000 + 510
        ret

/* `count` sectors from `lba` on to 8000h. CF: it failed. AL is kept. */
extended:
        mov     $0x4200, %cx
extended_as:
        push    %ax
        mov     %cx, %ax
        mov     $packet, %si
        mov     drive, %dl
        int     $0x13
        pop     %ax
        ret

say:    lodsb
        test    %al, %al
        jz      1f
        mov     $0x3f8, %dx
        out     %al, %dx
        jmp     say
1:      ret

say_hex:
        mov     $0x3f8, %dx
        push    %ax
        shr     $4, %al
        call    1f
        pop     %ax
        and     $15, %al
1:      cmp     $10, %al
        sbb     $0x69, %al
        das
        out     %al, %dx
        ret

packet: .word   16
count:  .word   1
        .word   0x8000, 0
lba:    .quad   1
drive:  .byte   0
sectors: .byte  0
name:   .asciz  "drive "
by_lba: .asciz  " lba"
by_chs: .asciz  " chs"
fine:   .asciz  " well\r\n"
        .org    446                     // the partition table is who makes the medium's
        .org    510
        .word   0xaa55
