# Unit tests: one program per file of the product, run by ctest.
enable_testing()
pkg_check_modules(CMOCKA REQUIRED IMPORTED_TARGET cmocka)

# What they share. Pure as well, but for the files of those that need some.
add_library(larder_test_kit STATIC tests/unit/kit.c)
target_link_libraries(larder_test_kit PUBLIC PkgConfig::CMOCKA PRIVATE larder_warnings)

# larder_unit(STEM LIBRARY [SOURCE...]): tests/unit/test_STEM.c through the headers alone.
function(larder_unit stem library)
	add_executable(test_${stem} tests/unit/test_${stem}.c ${ARGN})
	target_link_libraries(test_${stem} PRIVATE larder_test_kit ${library} larder_warnings)
	add_test(NAME unit/${stem} COMMAND test_${stem})
	set_tests_properties(unit/${stem} PROPERTIES TIMEOUT 120 LABELS unit)
endfunction()

foreach(stem aside caution claim cluster command copies duration err glob guard hf_judge json_doc
		inventory keys ledger limits metrics model_name model_ref partial pod policy use setting pins
		redis_info redis_place redis_rights redis_url watch_map watch_map_property xmem)
	larder_unit(${stem} larder_pure)
endforeach()
larder_unit(policy_property larder_pure tests/unit/policy_oracle.c tests/unit/policy_world.c)

foreach(stem engine probe_count probe_spec prom_text)
	larder_unit(${stem} larder_pure)
endforeach()
target_compile_definitions(test_engine PRIVATE
	LARDER_TEST_DATA="${CMAKE_CURRENT_SOURCE_DIR}/tests/data")
larder_unit(engine_options larder_agent_parts)
larder_unit(doctor_info larder_cli_parts)
larder_unit(dir_remove larder_agent_parts)
larder_unit(journal larder_agent_parts)
larder_unit(hf_remove larder_agent_parts tests/unit/hub.c)
larder_unit(hf_tidy larder_agent_parts tests/unit/hub.c)
# A disk that cannot make a rename durable.
foreach(stem dir_remove hf_remove)
	target_link_options(test_${stem} PRIVATE -Wl,--wrap=fsync)
endforeach()
# And one that cannot be read.
target_link_options(test_hf_remove PRIVATE -Wl,--wrap=read)

# Preloaded into a Redis whose clock jumps: without the sanitizers, which Redis does not have.
add_library(clock_shift MODULE tests/integration/clock_shift.c)
target_compile_options(clock_shift PRIVATE -fno-sanitize=all)
target_link_options(clock_shift PRIVATE -fno-sanitize=all)
target_link_libraries(clock_shift PRIVATE larder_warnings)
