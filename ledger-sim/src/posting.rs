//! What is written in the journal: balanced postings, and the closing line of each settlement.

use serde::{Deserialize, Serialize};

use crate::account::Account;
use crate::money::Amount;

/// Why money moved: the reason code of a posting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum Kind {
    /// A user pays for a query.
    FeeIn,
    /// The platform takes its cut of a fee.
    PlatformCut,
    /// A net fee is divided between model, stakers and contributors.
    Split,
    /// New money is minted.
    Emit,
    /// A locked bucket releases what is due.
    Unlock,
    /// A pot is paid out by a rule.
    Settle,
    /// Money is destroyed.
    Burn,
    /// Money is left for a later settlement.
    Carry,
    /// Stake is bonded.
    Stake,
    /// Stake is released.
    Unstake,
    /// Stake is confiscated.
    Slash,
    /// A reporter is rewarded for a slash.
    Reporter,
    /// A contributor claims a balance.
    Claim,
    /// Execution is paid for.
    Gas,
    /// A balance leaves for a wallet.
    Withdraw,
    /// Items are bought once and for all.
    Buyout,
    /// A payout is taken back.
    Clawback,
    /// Balances that nobody claimed are collected.
    Sweep,
}

/// One side of a posting: an account and the signed base units that it receives.
///
/// Packed, so that a journal has 24 bytes a line and not the 32 that the alignment of `i128` asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[repr(C, packed(8))]
pub struct Line {
    /// The account.
    pub account: Account,
    /// Base units received; negative when given.
    pub amount: i128,
}

impl Line {
    /// `amount` base units to `account`.
    pub const fn new(account: Account, amount: i128) -> Self {
        Self { account, amount }
    }
}

/// A posting as it lies in the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Posting<'a> {
    /// Reason code.
    pub kind: Kind,
    /// Epoch in which the money moved.
    pub epoch: u32,
    /// The sides; their amounts sum to zero.
    pub lines: &'a [Line],
}

impl Posting<'_> {
    /// Canonical bytes: kind (1), epoch (4), number of lines (4), then for each line family (1),
    /// index (4) and amount (8), all big-endian. A posting with an amount that 64 bits do not hold
    /// has 16 bytes for each of its amounts, and says so by the upper bit of its first byte.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.append_bytes(&mut bytes);
        bytes
    }

    /// Appends what [`Self::bytes`] gives: pages of such bytes are what the journal's tree hashes.
    pub fn append_bytes(&self, bytes: &mut Vec<u8>) {
        let is_wide = self.lines.iter().any(|line| i64::try_from(line.amount).is_err());
        let mut head = [0; 9];
        head[0] = self.kind as u8 | if is_wide { WIDE } else { 0 };
        head[1..5].copy_from_slice(&self.epoch.to_be_bytes());
        // Account indices are 32 bits wide, and so is the count of lines over them.
        head[5..].copy_from_slice(&(self.lines.len() as u32).to_be_bytes());
        bytes.extend_from_slice(&head);
        match is_wide {
            false => append_lines::<13>(self.lines, bytes),
            true => append_lines::<21>(self.lines, bytes),
        }
    }
}

/// Says that the amounts of a posting have 16 bytes.
const WIDE: u8 = 0x80;

/// Appends lines of `SIZE` bytes each, of which the amount has all but the first five.
fn append_lines<const SIZE: usize>(lines: &[Line], bytes: &mut Vec<u8>) {
    bytes.reserve(SIZE * lines.len());
    for line in lines {
        let mut side = [0; SIZE];
        side[0] = line.account.family() as u8;
        side[1..5].copy_from_slice(&line.account.index().to_be_bytes());
        // What is cut off is nothing but copies of the sign.
        side[5..].copy_from_slice(&line.amount.to_be_bytes()[21 - SIZE..]);
        bytes.extend_from_slice(&side);
    }
}

/// What a settlement says about itself, written next to its posting for the auditor to verify:
/// paid + nodes + burn + carry out + returned = pot + carry in + drawn + slashed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closing {
    /// Position of the settlement's posting in the journal.
    pub posting: usize,
    /// Index of the pot that was settled.
    pub pot_index: u32,
    /// Money in the pot.
    pub pot: Amount,
    /// Money left by earlier settlements.
    pub carry_in: Amount,
    /// Money drawn from the treasury.
    pub drawn: Amount,
    /// Money taken from stakes.
    pub slashed: Amount,
    /// Money paid to contributors.
    pub paid: Amount,
    /// Money paid to attribution nodes.
    pub nodes: Amount,
    /// Money destroyed.
    pub burn: Amount,
    /// Money left for a later settlement.
    pub carry_out: Amount,
    /// Money returned to the treasury.
    pub returned: Amount,
}

/// Header of a posting: its lines are those up to `end` that follow the previous posting's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Header {
    kind: Kind,
    epoch: u32,
    end: usize,
}

/// Every posting since genesis, in flat arrays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journal {
    headers: Vec<Header>,
    lines: Vec<Line>,
    closings: Vec<Closing>,
}

impl Journal {
    /// Number of postings.
    pub fn len(&self) -> usize {
        self.headers.len()
    }

    /// Whether nothing was posted.
    pub fn is_empty(&self) -> bool {
        self.headers.is_empty()
    }

    /// Number of lines over all postings.
    pub fn line_count(&self) -> usize {
        self.lines.len()
    }

    /// All postings in order.
    pub fn postings(&self) -> impl Iterator<Item = Posting<'_>> {
        let mut start = 0;
        self.headers.iter().map(move |header| {
            let lines = &self.lines[start..header.end];
            start = header.end;
            Posting { kind: header.kind, epoch: header.epoch, lines }
        })
    }

    /// Closing lines of all settlements in order.
    pub fn closings(&self) -> &[Closing] {
        &self.closings
    }

    /// Appends a posting. Only the ledger does, after it has applied it.
    pub(crate) fn append(&mut self, kind: Kind, epoch: u32, lines: &[Line]) {
        self.lines.extend_from_slice(lines);
        self.headers.push(Header { kind, epoch, end: self.lines.len() });
    }

    /// Appends the closing line of a settlement.
    pub(crate) fn close(&mut self, closing: Closing) {
        self.closings.push(closing);
    }

    /// A line that a test may falsify, to see the auditor find it.
    #[cfg(test)]
    pub(crate) fn line_mut(&mut self, index: usize) -> &mut Line {
        &mut self.lines[index]
    }

    /// The epoch of a posting, which a test may falsify.
    #[cfg(test)]
    pub(crate) fn epoch_mut(&mut self, index: usize) -> &mut u32 {
        &mut self.headers[index].epoch
    }

    /// A closing that a test may falsify.
    #[cfg(test)]
    pub(crate) fn closing_mut(&mut self, index: usize) -> &mut Closing {
        &mut self.closings[index]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_twenty_four_bytes() {
        assert_eq!(size_of::<Line>(), 24);
    }

    #[test]
    fn canonical_bytes_are_those_of_the_format() {
        let lines = [Line::new(Account::MINT, -1), Line::new(Account::contributor(258), 1)];
        let posting = Posting { kind: Kind::Emit, epoch: 7, lines: &lines };
        // kind 3; epoch 7; 2 lines; mint family 0 index 0 amount -1; contributor family 9
        // index 258 = 0x0102 amount 1.
        let expected = [
            vec![3, 0, 0, 0, 7, 0, 0, 0, 2],
            vec![0, 0, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255],
            vec![9, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 0, 1],
        ]
        .concat();
        assert_eq!(posting.bytes(), expected);
    }

    #[test]
    fn wide_amounts_have_sixteen_bytes_and_say_so() {
        let bytes = |amount: i128| {
            let lines = [Line::new(Account::MINT, -amount), Line::new(Account::TREASURY, amount)];
            Posting { kind: Kind::Emit, epoch: 0, lines: &lines }.bytes()
        };
        // -2^63 is the last amount of eight bytes, 2^63 the first of sixteen: both are in a posting
        // of 2^63, and only a posting of 2^63 - 1 is narrow.
        assert_eq!((bytes((1 << 63) - 1).len(), bytes((1 << 63) - 1)[0]), (9 + 2 * 13, 3));
        let wide = bytes(1 << 63);
        assert_eq!((wide.len(), wide[0]), (9 + 2 * 21, 0x83));
        assert_eq!(wide[14..30], [[255; 8], [128, 0, 0, 0, 0, 0, 0, 0]].concat());
        assert_eq!(wide[30..35], [1, 0, 0, 0, 0]);
        assert_eq!(wide[35..], [[0; 8], [128, 0, 0, 0, 0, 0, 0, 0]].concat());
        // 10^27 = 0x033b2e3c 9fd0803c e8000000.
        assert_eq!(
            bytes(10i128.pow(27))[39..],
            0x033b_2e3c_9fd0_803c_e800_0000u128.to_be_bytes()[4..]
        );
    }

    #[test]
    fn postings_come_back_with_their_own_lines() {
        let mut journal = Journal::default();
        let a = [Line::new(Account::MINT, -2), Line::new(Account::TREASURY, 2)];
        let b = [Line::new(Account::TREASURY, -1), Line::new(Account::BURN, 1)];
        journal.append(Kind::Emit, 0, &a);
        journal.append(Kind::Burn, 1, &b);
        let all: Vec<_> = journal.postings().collect();
        assert_eq!(all[0], Posting { kind: Kind::Emit, epoch: 0, lines: &a });
        assert_eq!(all[1], Posting { kind: Kind::Burn, epoch: 1, lines: &b });
        assert_eq!((journal.len(), journal.line_count(), journal.is_empty()), (2, 4, false));
    }
}
