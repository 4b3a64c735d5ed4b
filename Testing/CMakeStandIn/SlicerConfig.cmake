# A stand-in for Slicer's CMake package, so that the extension configures, builds, tests and installs
# where there is no Slicer: the two macros that scripted modules use, and the variables around them.
# It compiles nothing, packs nothing, and its tests run on Testing/SlicerStandIn.

set(Slicer_QTSCRIPTEDMODULES_LIB_DIR "lib/Slicer-5.12/qt-scripted-modules")
set(Slicer_INSTALL_QTSCRIPTEDMODULES_LIB_DIR "${Slicer_QTSCRIPTEDMODULES_LIB_DIR}")
set(Slicer_USE_PYTHONQT ON)
set(_stand_in "${CMAKE_CURRENT_LIST_DIR}")
set(Slicer_USE_FILE "${_stand_in}/UseSlicer.cmake")
set(Slicer_EXTENSION_GENERATE_CONFIG "${_stand_in}/CheckExtension.cmake")
set(Slicer_EXTENSION_CPACK "${_stand_in}/Nothing.cmake")
set(Slicer_FOUND TRUE)
