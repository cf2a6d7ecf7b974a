# Makes a C file that holds every Lua script with its SHA-1: cmake -DOUT=... -DSCRIPTS=a.lua;b.lua
set(code "/* Made from common/lua at build time. */\n#include \"common/redis_script.h\"\n")
foreach(script IN LISTS SCRIPTS)
	get_filename_component(name "${script}" NAME_WE)
	file(SHA1 "${script}" sha)
	file(READ "${script}" bytes HEX)
	string(REGEX REPLACE "(..)" "0x\\1," bytes "${bytes}")
	string(REGEX REPLACE "((0x..,)(0x..,)(0x..,)(0x..,)(0x..,)(0x..,)(0x..,)(0x..,))" "\\1\n" bytes "${bytes}")
	string(APPEND code "\nstatic const char text_${name}[] = {\n${bytes}0};\n"
		"const struct redis_script script_${name} = {\n"
		"\t.name = \"${name}\", .text = text_${name}, .sha = \"${sha}\"};\n")
endforeach()
file(WRITE "${OUT}" "${code}")
