//! attribench-engine
