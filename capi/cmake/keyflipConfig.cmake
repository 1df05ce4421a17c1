# find_package(keyflip): the targets keyflip::keyflip (shared) and keyflip::keyflip_static.
#
# It finds itself: wherever the prefix was moved to, header and libraries are looked for beside this file.

get_filename_component(_keyflip_prefix "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)
set(_keyflip_hints "${_keyflip_prefix}/lib" "${_keyflip_prefix}/lib64")
if(CMAKE_LIBRARY_ARCHITECTURE)
  list(APPEND _keyflip_hints "${_keyflip_prefix}/lib/${CMAKE_LIBRARY_ARCHITECTURE}")
endif()

find_path(KEYFLIP_INCLUDE_DIR keyflip.h HINTS "${_keyflip_prefix}/include" NO_DEFAULT_PATH)
find_library(KEYFLIP_LIBRARY NAMES libkeyflip.so libkeyflip.dylib keyflip HINTS ${_keyflip_hints} NO_DEFAULT_PATH)
find_library(KEYFLIP_STATIC_LIBRARY NAMES libkeyflip.a HINTS ${_keyflip_hints} NO_DEFAULT_PATH)
mark_as_advanced(KEYFLIP_INCLUDE_DIR KEYFLIP_LIBRARY KEYFLIP_STATIC_LIBRARY)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(keyflip REQUIRED_VARS KEYFLIP_LIBRARY KEYFLIP_INCLUDE_DIR)

if(keyflip_FOUND AND NOT TARGET keyflip::keyflip)
  add_library(keyflip::keyflip SHARED IMPORTED)
  set_target_properties(keyflip::keyflip PROPERTIES
    IMPORTED_LOCATION "${KEYFLIP_LIBRARY}"
    INTERFACE_INCLUDE_DIRECTORIES "${KEYFLIP_INCLUDE_DIR}")
endif()

if(keyflip_FOUND AND KEYFLIP_STATIC_LIBRARY AND NOT TARGET keyflip::keyflip_static)
  find_package(Threads REQUIRED)
  add_library(keyflip::keyflip_static STATIC IMPORTED)
  set_target_properties(keyflip::keyflip_static PROPERTIES
    IMPORTED_LOCATION "${KEYFLIP_STATIC_LIBRARY}"
    INTERFACE_INCLUDE_DIRECTORIES "${KEYFLIP_INCLUDE_DIR}"
    INTERFACE_LINK_LIBRARIES "Threads::Threads;${CMAKE_DL_LIBS};m")
endif()

unset(_keyflip_prefix)
unset(_keyflip_hints)
