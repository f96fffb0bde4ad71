//! attribench-core
