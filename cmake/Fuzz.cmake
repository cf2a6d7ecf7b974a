# Fuzz targets: one program per parser or decision, built by clang with libFuzzer and sanitizers.
# tests/fuzz/run.sh runs them.
if(NOT CMAKE_C_COMPILER_ID MATCHES "Clang" OR NOT LARDER_SANITIZE)
	message(FATAL_ERROR "LARDER_FUZZ needs clang and LARDER_SANITIZE=address,undefined")
endif()

# libFuzzer is led by what the product's own code reaches.
foreach(library larder_pure larder_common larder_agent_parts larder_coordinator_parts)
	target_compile_options(${library} PRIVATE -fsanitize=fuzzer-no-link)
endforeach()

# larder_fuzz(NAME LIBRARY... [SOURCES FILE...] [OPTIONS LINK_OPTION...])
function(larder_fuzz name)
	cmake_parse_arguments(FUZZ "" "" "SOURCES;OPTIONS" ${ARGN})
	add_executable(fuzz_${name} tests/fuzz/fuzz_${name}.c tests/fuzz/fuzz.c ${FUZZ_SOURCES})
	target_compile_options(fuzz_${name} PRIVATE -fsanitize=fuzzer-no-link)
	target_link_libraries(fuzz_${name} PRIVATE ${FUZZ_UNPARSED_ARGUMENTS} larder_warnings)
	target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer ${FUZZ_OPTIONS})
endfunction()

foreach(name command duration engine model_name)
	larder_fuzz(${name} larder_pure)
endforeach()
larder_fuzz(config larder_agent_parts larder_coordinator_parts)
larder_fuzz(hf_files larder_agent_parts)
larder_fuzz(journal larder_agent_parts OPTIONS -Wl,--wrap=fsync -Wl,--wrap=fdatasync)
larder_fuzz(policy larder_pure SOURCES tests/unit/policy_oracle.c tests/unit/policy_world.c)

# A whole daemon in one process with the fuzzer: its main gets another name.
foreach(program agent coordinator)
	add_library(fuzz_${program}_main OBJECT ${program}/main.c)
	target_compile_definitions(fuzz_${program}_main PRIVATE main=larder_${program}_main)
	target_compile_options(fuzz_${program}_main PRIVATE -fsanitize=fuzzer-no-link)
	target_link_libraries(fuzz_${program}_main PRIVATE larder_${program}_parts)
	larder_fuzz(http_${program} larder_${program}_parts
		SOURCES tests/fuzz/fuzz_http.c tests/fuzz/fuzz_redis.c
			$<TARGET_OBJECTS:fuzz_${program}_main>
		OPTIONS -Wl,--wrap=event_add)
endforeach()
