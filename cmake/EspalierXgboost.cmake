# Finds XGBoost and wraps it as espalier::xgboost. Used by the build and by the installed package.
# Debian's own CMake files also ask for a program that is in none of its packages.
find_path(ESPALIER_XGBOOST_INCLUDE xgboost/c_api.h)
find_library(ESPALIER_XGBOOST_LIBRARY xgboost)
mark_as_advanced(ESPALIER_XGBOOST_INCLUDE ESPALIER_XGBOOST_LIBRARY)
if(ESPALIER_XGBOOST_INCLUDE AND ESPALIER_XGBOOST_LIBRARY AND NOT TARGET espalier::xgboost)
  add_library(espalier::xgboost UNKNOWN IMPORTED)
  set_target_properties(espalier::xgboost PROPERTIES
      IMPORTED_LOCATION ${ESPALIER_XGBOOST_LIBRARY}
      INTERFACE_INCLUDE_DIRECTORIES ${ESPALIER_XGBOOST_INCLUDE})
endif()
