# What including Slicer's UseSlicer.cmake defines for scripted modules.

if(NOT Python3_EXECUTABLE)
  message(FATAL_ERROR "Give the stand-in a Python with slicer-core: -DPython3_EXECUTABLE=…")
endif()
option(BUILD_TESTING "Test the extension." ON)
if(BUILD_TESTING)
  enable_testing()
endif()
set(_scripted_modules "${CMAKE_BINARY_DIR}/${Slicer_QTSCRIPTEDMODULES_LIB_DIR}")

macro(slicer_add_python_unittest)
  cmake_parse_arguments(MY "" "TESTNAME_PREFIX;SCRIPT" "SLICER_ARGS" ${ARGN})
  get_filename_component(_test_name ${MY_SCRIPT} NAME_WE)
  add_test(
    NAME py_${MY_TESTNAME_PREFIX}${_test_name}
    COMMAND ${Python3_EXECUTABLE} "${_stand_in}/run_module_test.py" "${_scripted_modules}/${_test_name}.py" unittest
    )
endmacro()

macro(slicerMacroBuildScriptedModule)
  cmake_parse_arguments(MY "WITH_GENERIC_TESTS;WITH_SUBDIR" "NAME" "SCRIPTS;RESOURCES" ${ARGN})
  if(MY_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "Unknown keywords given to slicerMacroBuildScriptedModule(): ${MY_UNPARSED_ARGUMENTS}")
  endif()
  message(STATUS "Configuring Scripted module: ${MY_NAME}")
  set(_outputs)
  foreach(_file ${MY_SCRIPTS} ${MY_RESOURCES})
    set(_source "${CMAKE_CURRENT_SOURCE_DIR}/${_file}")
    if(NOT EXISTS "${_source}")
      message(FATAL_ERROR "slicerMacroBuildScriptedModule given nonexistent file '${_file}'")
    endif()
    add_custom_command(
      OUTPUT "${_scripted_modules}/${_file}"
      DEPENDS "${_source}"
      COMMAND ${CMAKE_COMMAND} -E copy "${_source}" "${_scripted_modules}/${_file}"
      )
    list(APPEND _outputs "${_scripted_modules}/${_file}")
  endforeach()
  add_custom_target(${MY_NAME} ALL DEPENDS ${_outputs})
  install(DIRECTORY "${_scripted_modules}/" DESTINATION "${Slicer_INSTALL_QTSCRIPTEDMODULES_LIB_DIR}"
    COMPONENT RuntimeLibraries PATTERN __pycache__ EXCLUDE)
  if(BUILD_TESTING AND MY_WITH_GENERIC_TESTS AND "${MY_NAME}.py" IN_LIST MY_SCRIPTS)
    add_test(
      NAME py_nomainwindow_qSlicer${MY_NAME}ModuleGenericTest
      COMMAND ${Python3_EXECUTABLE} "${_stand_in}/run_module_test.py" "${_scripted_modules}/${MY_NAME}.py" generic
      )
  endif()
endmacro()
