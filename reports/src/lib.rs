//! attribench-reports
