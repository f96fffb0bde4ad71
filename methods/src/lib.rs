//! attribench-methods
