noinst_LIBRARIES += librsp.a
librsp_a_SOURCES = \
	src/rsp/agent.c src/rsp/agent.h src/rsp/expression.c src/rsp/expression.h \
	src/rsp/breakpoint.c \
	src/rsp/features.c \
	src/rsp/lldb.c \
	src/rsp/monitor.c \
	src/rsp/packet.c src/rsp/packet.h \
	src/rsp/packets.c \
	src/rsp/query.c \
	src/rsp/reply.c \
	src/rsp/request.c \
	src/rsp/rsp.h \
	src/rsp/session.c src/rsp/session.h \
	src/rsp/target.h \
	src/rsp/trace.c src/rsp/trace.h src/rsp/trace_internal.h src/rsp/trace_run.c
