//! Postings of the books, as their canonical bytes say them: kind (1), epoch (4), number of lines
//! (4), and for each line family (1), index (4) and amount (8), all big-endian. Where the upper bit
//! of the kind is set, amounts have 16 bytes.
//!
//! This reads what the ledger wrote and shares no code with it.

use std::collections::BTreeMap;

/// Account family of money that was ever minted, as a negative balance.
pub const MINT: u8 = 0;
/// Account family of the treasury.
pub const TREASURY: u8 = 1;
/// Account family of money left for a later settlement.
pub const CARRY: u8 = 4;
/// Account family of contributors.
pub const CONTRIBUTOR: u8 = 9;
/// Account family of destroyed money.
pub const BURN: u8 = 13;

/// Bytes before the lines.
const HEADER: usize = 9;
/// Bytes of a line before its amount.
const ACCOUNT: usize = 5;
/// Bit of the kind that says that amounts have 16 bytes.
const WIDE: u8 = 0x80;

/// Balance of every account by family and index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Balances(BTreeMap<(u8, u32), i128>);

impl Balances {
    /// Applies a posting, whose lines must sum to zero.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn post(&mut self, posting: &[u8]) -> Result<(), String> {
        let (header, lines) =
            posting.split_at_checked(HEADER).ok_or("a posting is shorter than its header")?;
        let number = u32::from_be_bytes(header[5..].try_into().expect("four bytes"));
        let is_wide = header[0] & WIDE != 0;
        let size = ACCOUNT + if is_wide { 16 } else { 8 };
        if lines.len() != number as usize * size {
            return Err(format!("{} bytes are not {number} lines", lines.len()));
        }
        let beyond = || "an amount leaves the range of base units".to_owned();
        let mut sum = 0i128;
        for line in lines.chunks_exact(size) {
            let index = u32::from_be_bytes(line[1..ACCOUNT].try_into().expect("four bytes"));
            let amount = &line[ACCOUNT..];
            let amount = match is_wide {
                true => i128::from_be_bytes(amount.try_into().expect("sixteen bytes")),
                false => i64::from_be_bytes(amount.try_into().expect("eight bytes")).into(),
            };
            sum = sum.checked_add(amount).ok_or_else(beyond)?;
            let balance = self.0.entry((line[0], index)).or_default();
            *balance = balance.checked_add(amount).ok_or_else(beyond)?;
        }
        if sum == 0 { Ok(()) } else { Err(format!("a posting makes {sum} units of nothing")) }
    }

    /// Balance of an account.
    pub fn of(&self, family: u8, index: u32) -> i128 {
        self.0.get(&(family, index)).copied().unwrap_or(0)
    }

    /// All accounts that hold or owe something: family and index, and balance.
    pub fn all(&self) -> impl Iterator<Item = ((u8, u32), i128)> + '_ {
        let accounts = self.0.iter().map(|(account, balance)| (*account, *balance));
        accounts.filter(|(_, balance)| *balance != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::{BURN, Balances, CONTRIBUTOR, MINT};

    fn posting(lines: &[(u8, u32, i64)]) -> Vec<u8> {
        let mut bytes = vec![5, 0, 0, 0, 0];
        bytes.extend((lines.len() as u32).to_be_bytes());
        for (family, index, amount) in lines {
            bytes.push(*family);
            bytes.extend(index.to_be_bytes());
            bytes.extend(amount.to_be_bytes());
        }
        bytes
    }

    #[test]
    fn balances_by_hand() {
        let mut balances = Balances::default();
        balances.post(&posting(&[(MINT, 0, -10), (3, 0, 10)])).unwrap();
        balances.post(&posting(&[(3, 0, -10), (CONTRIBUTOR, 1, 7), (BURN, 0, 3)])).unwrap();
        assert_eq!((balances.of(CONTRIBUTOR, 1), balances.of(3, 0), balances.of(9, 0)), (7, 0, 0));
        let all: Vec<_> = balances.all().collect();
        assert_eq!(all, [((MINT, 0), -10), ((CONTRIBUTOR, 1), 7), ((BURN, 0), 3)]);
    }

    #[test]
    fn wide_amounts_have_sixteen_bytes() {
        let wide = |lines: &[(u8, i128)]| {
            let mut bytes = vec![0x83, 0, 0, 0, 0, 0, 0, 0, lines.len() as u8];
            for (family, amount) in lines {
                bytes.extend([*family, 0, 0, 0, 0]);
                bytes.extend(amount.to_be_bytes());
            }
            bytes
        };
        let mut balances = Balances::default();
        let tokens = 10i128.pow(27);
        balances.post(&wide(&[(MINT, -tokens), (CONTRIBUTOR, tokens)])).unwrap();
        assert_eq!(balances.of(CONTRIBUTOR, 0), tokens);
        balances.post(&posting(&[(CONTRIBUTOR, 0, -1), (BURN, 0, 1)])).unwrap();
        assert_eq!(balances.of(CONTRIBUTOR, 0), tokens - 1);
        let beyond = wide(&[(CONTRIBUTOR, i128::MAX), (MINT, -i128::MAX)]);
        assert!(balances.post(&beyond).unwrap_err().contains("range"));
    }

    #[test]
    fn what_is_no_posting_is_refused() {
        let mut balances = Balances::default();
        assert!(balances.post(&[5, 0, 0]).is_err());
        assert!(balances.post(&posting(&[(MINT, 0, -1), (9, 0, 2)])).is_err());
        let mut cut = posting(&[(MINT, 0, -1), (9, 0, 1)]);
        cut.pop();
        assert!(balances.post(&cut).is_err());
    }
}
