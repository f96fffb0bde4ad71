//! attribench-models
