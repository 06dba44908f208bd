# cmake --install, and the package that find_package(Espalier) finds.
include(CMakePackageConfigHelpers)
set(espalier_package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/Espalier)
configure_package_config_file(
    ${CMAKE_CURRENT_LIST_DIR}/EspalierConfig.cmake.in ${CMAKE_BINARY_DIR}/EspalierConfig.cmake
    INSTALL_DESTINATION ${espalier_package_dir})
write_basic_package_version_file(
    ${CMAKE_BINARY_DIR}/EspalierConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(EXPORT EspalierTargets NAMESPACE espalier:: DESTINATION ${espalier_package_dir})
install(FILES ${CMAKE_BINARY_DIR}/EspalierConfig.cmake
              ${CMAKE_BINARY_DIR}/EspalierConfigVersion.cmake
              ${CMAKE_CURRENT_LIST_DIR}/EspalierTorch.cmake
              ${CMAKE_CURRENT_LIST_DIR}/EspalierXgboost.cmake
        DESTINATION ${espalier_package_dir})
