//! ledger-sim
