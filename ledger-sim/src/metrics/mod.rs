//! What approximate attribution costs people, and how unequally money is spread.
//!
//! Undefined cases are `None`, never 0.

pub mod concentration;
mod payout_error;
pub mod people;
pub mod rank;
pub mod strategy;

pub use payout_error::{PayoutError, time_to_correct};

use crate::money::Amount;

/// Amounts as floating-point numbers, for ratios only.
pub fn as_numbers(amounts: &[Amount]) -> Vec<f64> {
    amounts.iter().map(|amount| amount.get() as f64).collect()
}
