//! Splitting an integer pot by largest remainder (Hamilton), exactly.
//!
//! For weights `w_i` with sum `W > 0` and a pot `P`: `a_i = floor(P w_i / W)`,
//! `r_i = P w_i mod W`, and the `L = P - sum a_i` entries with the largest `r_i` receive one unit
//! more. The remainders sum to `L W` and each is below `W`, so at least `L` of them are positive:
//! a zero weight never receives a unit. The result sums to `P` and each part is within one unit of
//! its quota. What the method lacks is house monotonicity: a larger pot may lower one part by a
//! unit (Balinski and Young, *Fair Representation*, 1982).

use sha2::{Digest, Sha256};

use crate::merkle::Hash;
use crate::money::Amount;
use crate::refusal::Refusal;
use crate::wide;

/// Names of the contributors, for ties and random streams that follow the person and not the row.
#[derive(Clone, Copy, Debug, Default)]
pub enum Identities<'a> {
    /// Contributor `i` is called by the decimal digits of `i`.
    #[default]
    Numbered,
    /// Contributor `i` is called `names[i]`.
    Named(&'a [String]),
}

impl Identities<'_> {
    /// Bytes of the name of contributor `index`; an index beyond the names is its digits.
    fn bytes(&self, index: usize) -> Vec<u8> {
        match self {
            Self::Named(names) if index < names.len() => names[index].as_bytes().to_vec(),
            _ => index.to_string().into_bytes(),
        }
    }

    /// A 40-bit number for contributor `index`, for counter-based randomness: the index itself, or
    /// the first five bytes of SHA-256 of the name. Two of a million names collide with
    /// probability about .37 and would then share draws.
    pub fn agent(&self, index: usize) -> u64 {
        match self {
            Self::Named(names) if index < names.len() => {
                let digest: Hash = Sha256::digest(names[index].as_bytes()).into();
                digest[..5].iter().fold(0, |code, byte| code << 8 | u64::from(*byte))
            }
            _ => index as u64,
        }
    }
}

/// Who comes first among entries with the same remainder.
#[derive(Clone, Copy, Debug)]
pub enum Ties<'a> {
    /// The lower position. Favours the same entries at every settlement: for tests, and for splits
    /// between a handful of fixed parties.
    Index,
    /// The lower `SHA-256(run || epoch || name)`, so that no position is favoured at every epoch.
    Keyed {
        /// Bytes that identify the run.
        run: &'a [u8],
        /// Epoch of the settlement, hashed as four big-endian bytes.
        epoch: u32,
        /// Names of the contributors.
        identities: Identities<'a>,
        /// Which contributor each entry is, when the entries are only some of them.
        members: Option<&'a [usize]>,
    },
}

impl<'a> Ties<'a> {
    /// The same ties for a split among some contributors: entry `e` is contributor `members[e]`.
    pub fn among<'b>(self, members: &'b [usize]) -> Ties<'b>
    where
        'a: 'b,
    {
        match self {
            Self::Index => Ties::Index,
            Self::Keyed { run, epoch, identities, .. } => {
                Ties::Keyed { run, epoch, identities, members: Some(members) }
            }
        }
    }

    /// Moves the `count` entries that come first to the front of `tied`.
    fn select(&self, tied: &mut [u32], count: usize) {
        if count == 0 || count >= tied.len() {
            return;
        }
        match self {
            Self::Index => {
                tied.select_nth_unstable(count - 1);
            }
            Self::Keyed { run, epoch, identities, members } => {
                let key = |index: u32| -> Hash {
                    let entry = index as usize;
                    let contributor = members.map_or(entry, |members| members[entry]);
                    Sha256::new()
                        .chain_update(run)
                        .chain_update(epoch.to_be_bytes())
                        .chain_update(identities.bytes(contributor))
                        .finalize()
                        .into()
                };
                let mut keyed: Vec<(Hash, u32)> =
                    tied.iter().map(|index| (key(*index), *index)).collect();
                keyed.select_nth_unstable(count - 1);
                for (slot, (_, index)) in tied.iter_mut().zip(keyed) {
                    *slot = index;
                }
            }
        }
    }
}

/// Splits `pot` in proportion to `weights` by largest remainder, in O(n).
///
/// # Errors
/// [`Refusal::Overflow`] when the weights sum to 2^64 or more, or there are more entries than an
/// account index can name; [`Refusal::ZeroTotalWeight`] when no weight is positive.
pub fn apportion(pot: Amount, weights: &[u64], ties: &Ties<'_>) -> Result<Vec<Amount>, Refusal> {
    let mut parts = Vec::new();
    Apportioner::default().apportion_into(pot, weights, ties, &mut parts)?;
    Ok(parts)
}

/// As [`apportion`], with weights that are amounts themselves, of any width.
///
/// # Errors
/// [`Refusal::Overflow`] when the weights sum to 2^128 or more, or there are more entries than an
/// account index can name; [`Refusal::ZeroTotalWeight`] when no weight is positive.
pub fn apportion_by_amounts(
    pot: Amount,
    weights: &[Amount],
    ties: &Ties<'_>,
) -> Result<Vec<Amount>, Refusal> {
    u32::try_from(weights.len()).map_err(|_| Refusal::Overflow)?;
    let total = Amount::total(weights.iter().copied())?;
    if total.is_zero() {
        return Err(Refusal::ZeroTotalWeight);
    }
    if total.narrow().is_some() {
        let narrow: Vec<u64> = weights.iter().filter_map(|weight| weight.narrow()).collect();
        return apportion(pot, &narrow, ties);
    }
    let floor = |weight: &Amount| wide::product_over(pot.get(), weight.get(), total.get());
    let floors = weights.iter().map(|weight| floor(weight).ok_or(Refusal::Overflow));
    let (quotients, remainders): (Vec<u128>, Vec<u128>) =
        floors.collect::<Result<Vec<_>, _>>()?.into_iter().unzip();
    let mut parts: Vec<Amount> = quotients.into_iter().map(Amount::new).collect();
    let left = pot.minus(Amount::total(parts.iter().copied())?)?.get() as usize;
    hand_out(left, &remainders, &mut vec![], &mut vec![], ties, &mut parts);
    Ok(parts)
}

/// What a pot is split into: amounts, or numbers of 64 bits where the pot is one, which are half
/// the memory.
pub trait Part: Copy {
    /// Whether parts of `pot` are such numbers.
    fn holds(pot: Amount) -> bool;

    /// So many units.
    fn of(units: u64) -> Self;

    /// `units` more, of a part that stays within the pot.
    fn more(self, units: u128) -> Self;
}

impl Part for Amount {
    #[inline]
    fn holds(_: Amount) -> bool {
        true
    }

    #[inline]
    fn of(units: u64) -> Self {
        Self::new(u128::from(units))
    }

    #[inline]
    fn more(self, units: u128) -> Self {
        Self::new(self.get() + units)
    }
}

impl Part for u64 {
    #[inline]
    fn holds(pot: Amount) -> bool {
        pot.narrow().is_some()
    }

    #[inline]
    fn of(units: u64) -> Self {
        units
    }

    #[inline]
    fn more(self, units: u128) -> Self {
        self + units as Self
    }
}

/// Buffers of [`apportion`], kept so that a loop over epochs allocates nothing.
#[derive(Clone, Debug, Default)]
pub struct Apportioner {
    remainders: Vec<u64>,
    order: Vec<u64>,
    tied: Vec<u32>,
}

impl Apportioner {
    /// As [`apportion`], into `parts`, which is overwritten.
    ///
    /// # Errors
    /// As [`apportion`], and [`Refusal::Overflow`] for a pot that such parts do not hold.
    pub fn apportion_into<P: Part>(
        &mut self,
        pot: Amount,
        weights: &[u64],
        ties: &Ties<'_>,
        parts: &mut Vec<P>,
    ) -> Result<(), Refusal> {
        u32::try_from(weights.len()).map_err(|_| Refusal::Overflow)?;
        if !P::holds(pot) {
            return Err(Refusal::Overflow);
        }
        let total = weights.iter().try_fold(0u64, |sum, weight| sum.checked_add(*weight));
        let total = total.ok_or(Refusal::Overflow)?;
        if total == 0 {
            return Err(Refusal::ZeroTotalWeight);
        }
        let left = self.floors(pot.get(), total, weights, parts);
        hand_out(left, &self.remainders, &mut self.order, &mut self.tied, ties, parts);
        Ok(())
    }

    /// Fills `parts` with floors and `self.remainders`; returns the units not yet handed out.
    ///
    /// With `P = q W + r` the floor is `q w + floor(r w / W)`, its remainder that of the latter:
    /// a pot of any width needs products of 128 bits alone.
    fn floors<P: Part>(
        &mut self,
        pot: u128,
        total: u64,
        weights: &[u64],
        parts: &mut Vec<P>,
    ) -> usize {
        let (turns, narrow) = match u64::try_from(pot) {
            Ok(narrow) => (0, narrow),
            // The remainder is below the total, which 64 bits hold.
            Err(_) => (pot / u128::from(total), (pot % u128::from(total)) as u64),
        };
        // The fast remainder is computed modulo 2^64 and needs one spare bit.
        let given = if total < 1 << 63 {
            let fast = FastFloor::new(narrow, total);
            self.fill(weights, parts, |weight| fast.divide(weight))
        } else {
            self.fill(weights, parts, |weight| slow_floor(narrow, total, weight))
        };
        if turns > 0 {
            for (part, weight) in parts.iter_mut().zip(weights) {
                *part = part.more(turns * u128::from(*weight));
            }
        }
        // Fewer units are left than there are entries, and entries fit 32 bits.
        (narrow - given) as usize
    }

    /// Applies `floor` to every weight; returns the sum of the quotients.
    fn fill<P: Part>(
        &mut self,
        weights: &[u64],
        parts: &mut Vec<P>,
        floor: impl Fn(u64) -> (u64, u64),
    ) -> u64 {
        parts.clear();
        self.remainders.clear();
        let mut given: u64 = 0;
        for weight in weights {
            let (part, remainder) = floor(*weight);
            // The floors sum to at most the pot, so this cannot overflow.
            given += part;
            parts.push(P::of(part));
            self.remainders.push(remainder);
        }
        given
    }
}

/// Gives one unit to each of the `left` entries with the largest remainders; `order` and `tied`
/// are overwritten.
fn hand_out<R: Ord + Copy, P: Part>(
    left: usize,
    remainders: &[R],
    order: &mut Vec<R>,
    tied: &mut Vec<u32>,
    ties: &Ties<'_>,
    parts: &mut [P],
) {
    if left == 0 {
        return;
    }
    order.clear();
    order.extend_from_slice(remainders);
    let (_, threshold, _) = order.select_nth_unstable_by(left - 1, |a, b| b.cmp(a));
    let threshold = *threshold;
    tied.clear();
    let mut above = 0;
    for (index, remainder) in remainders.iter().enumerate() {
        if *remainder > threshold {
            above += 1;
            parts[index] = parts[index].more(1);
        } else if *remainder == threshold {
            tied.push(index as u32);
        }
    }
    let among_tied = left - above;
    ties.select(tied, among_tied);
    for index in &tied[..among_tied] {
        let part = &mut parts[*index as usize];
        *part = part.more(1);
    }
}

/// `floor(P w / W)` and its remainder without a 128-bit division for each entry.
///
/// With `k = floor(2^64 P / W)` the quotient `floor(w k / 2^64)` is exact or one too small; the
/// remainder `P w - a W` modulo 2^64 tells which, because its true value is below `2 W < 2^64`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FastFloor {
    pot: u64,
    total: u64,
    high: u64,
    low: u64,
}

impl FastFloor {
    pub(crate) fn new(pot: u64, total: u64) -> Self {
        let scaled = (u128::from(pot) << 64) / u128::from(total);
        Self { pot, total, high: (scaled >> 64) as u64, low: scaled as u64 }
    }

    /// The quotient alone; the weight is at most the total, which is below 2^63.
    #[inline]
    pub(crate) fn quotient(&self, weight: u64) -> u64 {
        self.divide(weight).0
    }

    #[inline]
    fn divide(&self, weight: u64) -> (u64, u64) {
        let low = (u128::from(weight) * u128::from(self.low)) >> 64;
        // weight <= W, so weight * high <= P and the quotient fits.
        let mut quotient = weight.wrapping_mul(self.high).wrapping_add(low as u64);
        let product = self.pot.wrapping_mul(weight);
        let mut remainder = product.wrapping_sub(quotient.wrapping_mul(self.total));
        if remainder >= self.total {
            quotient = quotient.wrapping_add(1);
            remainder = remainder.wrapping_sub(self.total);
        }
        (quotient, remainder)
    }
}

fn slow_floor(pot: u64, total: u64, weight: u64) -> (u64, u64) {
    let product = u128::from(pot) * u128::from(weight);
    let total = u128::from(total);
    // weight <= total, so the quotient is at most the pot.
    ((product / total) as u64, (product % total) as u64)
}

/// Bits of a weight: as many as let `count` of the largest sum below 2^63, and at most 40.
pub fn weight_bits(count: usize) -> u32 {
    let ceiling_log2 = count.max(1).next_power_of_two().trailing_zeros();
    (63 - ceiling_log2).min(40)
}

/// Integer weights of real scores: `w_i = rne(2^b (s_i)+ / s_max)` with `b` of [`weight_bits`] and
/// round half to even. The shares differ from those of the scores by at most `n / 2^(b+1)` in
/// total variation. Scores without a positive entry give zero weights.
///
/// # Errors
/// [`Refusal::NonFinite`] for a NaN or infinite score, named by its position (query 0).
pub fn weights_from_scores(scores: &[f64]) -> Result<Vec<u64>, Refusal> {
    if let Some(contributor) = scores.iter().position(|score| !score.is_finite()) {
        return Err(Refusal::NonFinite { contributor, query: 0 });
    }
    let largest = scores.iter().copied().fold(0.0, f64::max);
    if largest == 0.0 {
        return Ok(vec![0; scores.len()]);
    }
    let scale = (1u64 << weight_bits(scores.len())) as f64;
    // Dividing first keeps the product in range for the largest of finite scores.
    let weight = |score: &f64| (score.max(0.0) / largest * scale).round_ties_even() as u64;
    Ok(scores.iter().map(weight).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parts(pot: u64, weights: &[u64]) -> Vec<u64> {
        let parts = apportion(Amount::new(u128::from(pot)), weights, &Ties::Index).unwrap();
        parts.into_iter().map(|part| part.narrow().unwrap()).collect()
    }

    /// G30.
    #[test]
    fn known_splits() {
        assert_eq!(parts(10, &[1, 1, 1]), [4, 3, 3]);
        assert_eq!(parts(11, &[1, 1, 1]), [4, 4, 3]);
        assert_eq!(parts(7, &[1, 1, 1, 1]), [2, 2, 2, 1]);
        assert_eq!(parts(100, &[5, 3, 1]), [56, 33, 11]);
        assert_eq!(parts(1_000_000_007, &[3, 3, 1, 0]), [428_571_432, 428_571_431, 142_857_144, 0]);
    }

    /// G30, the part from scores.
    #[test]
    fn known_weights_of_scores() {
        let weights = weights_from_scores(&[0.1, 0.2, 0.3]).unwrap();
        assert_eq!(weights, [366_503_875_925, 733_007_751_851, 1_099_511_627_776]);
        assert_eq!(parts(1_000, &weights), [167, 333, 500]);
    }

    /// G31: a larger pot takes a unit from the smallest party.
    #[test]
    fn the_alabama_paradox_is_there() {
        assert_eq!(parts(10, &[6, 6, 2]), [4, 4, 2]);
        assert_eq!(parts(11, &[6, 6, 2]), [5, 5, 1]);
    }

    #[test]
    fn weights_round_half_to_even_and_clip() {
        // b = 40 and s_max = 2^40 make the weight the rounded score itself.
        let top = (1u64 << 40) as f64;
        let weights = weights_from_scores(&[top, 0.5, 1.5, 2.5, -3.0]).unwrap();
        assert_eq!(weights, [1 << 40, 0, 2, 2, 0]);
        assert_eq!(weights_from_scores(&[-1.0, 0.0]).unwrap(), [0, 0]);
        assert_eq!(
            weights_from_scores(&[1.0, f64::NAN]),
            Err(Refusal::NonFinite { contributor: 1, query: 0 })
        );
        // The extremes of f64 neither overflow nor vanish.
        assert_eq!(weights_from_scores(&[f64::MAX, f64::MAX]).unwrap(), [1 << 40, 1 << 40]);
        let tiny = f64::from_bits(1);
        assert_eq!(weights_from_scores(&[tiny]).unwrap(), [1 << 40]);
    }

    #[test]
    fn bits_leave_room_for_the_sum() {
        // ceil(log2 n) = 0, 23, 24: 63 - 23 = 40 is the last count at full width.
        assert_eq!(weight_bits(1), 40);
        assert_eq!(weight_bits(1 << 23), 40);
        assert_eq!(weight_bits((1 << 23) + 1), 39);
        assert_eq!(weight_bits(0), 40);
    }

    #[test]
    fn refusals() {
        let pot = Amount::new(1);
        assert_eq!(apportion(pot, &[], &Ties::Index), Err(Refusal::ZeroTotalWeight));
        assert_eq!(apportion(pot, &[0, 0], &Ties::Index), Err(Refusal::ZeroTotalWeight));
        assert_eq!(apportion(pot, &[u64::MAX, 1], &Ties::Index), Err(Refusal::Overflow));
    }

    #[test]
    fn keyed_ties_favour_different_entries_at_different_epochs() {
        let winner = |epoch| {
            let ties =
                Ties::Keyed { run: b"run", epoch, identities: Identities::Numbered, members: None };
            let parts = apportion(Amount::new(1), &[1; 8], &ties).unwrap();
            parts.iter().position(|part| !part.is_zero()).unwrap()
        };
        let winners: std::collections::BTreeSet<_> = (0..64).map(winner).collect();
        // Sixty-four fair draws miss a given entry of eight with probability (7/8)^64 = 2e-4.
        assert_eq!(winners.len(), 8);
    }

    #[test]
    fn ties_follow_the_hash_of_the_name() {
        let names = ["ada".to_owned(), "bob".to_owned(), "eve".to_owned()];
        let identities = Identities::Named(&names);
        let ties = Ties::Keyed { run: b"r", epoch: 1, identities, members: None };
        let expected = (0..3)
            .min_by_key(|index| {
                let text = [b"r".as_slice(), &[0, 0, 0, 1], names[*index].as_bytes()].concat();
                Hash::from(Sha256::digest(text))
            })
            .unwrap();
        let parts = apportion(Amount::new(1), &[1, 1, 1], &ties).unwrap();
        assert_eq!(parts.iter().position(|part| !part.is_zero()), Some(expected));
    }

    /// Largest remainder by a full sort, in 128-bit arithmetic.
    fn by_sorting(pot: u64, weights: &[u64]) -> Vec<u64> {
        let total: u128 = weights.iter().map(|w| u128::from(*w)).sum();
        let product = |w: u64| u128::from(pot) * u128::from(w);
        let mut parts: Vec<u64> = weights.iter().map(|w| (product(*w) / total) as u64).collect();
        let left = pot - parts.iter().sum::<u64>();
        let mut order: Vec<usize> = (0..weights.len()).collect();
        order.sort_by_key(|i| (std::cmp::Reverse(product(weights[*i]) % total), *i));
        for index in order.into_iter().take(left as usize) {
            parts[index] += 1;
        }
        parts
    }

    fn units(parts: &[Amount]) -> Vec<u128> {
        parts.iter().map(|part| part.get()).collect()
    }

    /// Largest remainder by a full sort of remainders of 256-bit products.
    fn by_definition(pot: u128, weights: &[u128]) -> Vec<u128> {
        let total: u128 = weights.iter().sum();
        let floor = |weight: &u128| wide::product_over(pot, *weight, total).unwrap();
        let (mut parts, remainders): (Vec<u128>, Vec<u128>) = weights.iter().map(floor).unzip();
        let left = pot - parts.iter().sum::<u128>();
        let mut order: Vec<usize> = (0..weights.len()).collect();
        order.sort_by_key(|i| (std::cmp::Reverse(remainders[*i]), *i));
        order.into_iter().take(left as usize).for_each(|index| parts[index] += 1);
        parts
    }

    /// G30 with eighteen decimals: the scores (.1, .2, .3) and a pot of a billion tokens, 10^27.
    #[test]
    fn a_pot_of_eighteen_decimals_by_hand() {
        let pot = Amount::new(10u128.pow(27));
        // 10^27 / 3 = 333...3 and one unit is left; all remainders are equal, so the first gets it.
        let third = 10u128.pow(27) / 3;
        let thirds = apportion(pot, &[1, 1, 1], &Ties::Index).unwrap();
        assert_eq!(units(&thirds), [third + 1, third, third]);
        // Weights of G30; quotas computed with integers of any length.
        let weights = weights_from_scores(&[0.1, 0.2, 0.3]).unwrap();
        let parts = apportion(pot, &weights, &Ties::Index).unwrap();
        let expected = [
            166_666_666_666_515_084_216_371_179,
            333_333_333_333_484_915_783_628_821,
            500_000_000_000_000_000_000_000_000,
        ];
        assert_eq!(units(&parts), expected);
        // Weights that are amounts of eighteen decimals themselves give the same parts.
        let unit = 10u128.pow(18);
        let amounts: Vec<Amount> =
            weights.iter().map(|weight| Amount::new(u128::from(*weight) * unit)).collect();
        assert_eq!(apportion_by_amounts(pot, &amounts, &Ties::Index), Ok(parts));
        assert_eq!(
            apportion_by_amounts(pot, &[Amount::new(u128::MAX), Amount::new(1)], &Ties::Index),
            Err(Refusal::Overflow)
        );
        assert_eq!(
            apportion_by_amounts(pot, &[Amount::ZERO], &Ties::Index),
            Err(Refusal::ZeroTotalWeight)
        );
    }

    fn some_weights() -> impl Strategy<Value = Vec<u64>> {
        let small = prop::collection::vec(0u64..5, 1..40);
        let wide = prop::collection::vec(0u64..(1 << 58), 1..40);
        // Sums at and above 2^63, where the slow floor takes over.
        let huge = prop::collection::vec((1u64 << 61)..(1 << 62), 2..4);
        prop_oneof![small, wide, huge].prop_filter("weight", |w| w.iter().any(|w| *w > 0))
    }

    proptest! {
        #[test]
        fn agrees_with_sorting(pot in prop_oneof![0u64..50, any::<u64>()], w in some_weights()) {
            prop_assert_eq!(parts(pot, &w), by_sorting(pot, &w));
        }

        #[test]
        fn conserves_keeps_quota_and_starves_zero(pot in any::<u64>(), w in some_weights()) {
            let identities = Identities::Numbered;
            let ties = Ties::Keyed { run: b"x", epoch: 3, identities, members: None };
            let pot = u128::from(pot);
            let parts = apportion(Amount::new(pot), &w, &ties).unwrap();
            prop_assert_eq!(Amount::total(parts.iter().copied()), Ok(Amount::new(pot)));
            let total: u128 = w.iter().map(|w| u128::from(*w)).sum();
            for (part, weight) in parts.iter().zip(&w) {
                let floor = pot * u128::from(*weight) / total;
                let part = part.get();
                prop_assert!(part == floor || part == floor + 1);
                prop_assert!(*weight > 0 || part == 0);
            }
        }

        /// A wide pot, by the definition in products of 256 bits and a full sort; weights that are
        /// amounts, the same; and where both are narrow, the path of 64 bits.
        #[test]
        fn wide_pots_and_wide_weights_agree_with_sorting(
            pot in (any::<u128>(), 8u32..128).prop_map(|(pot, cut)| pot >> cut),
            w in prop::collection::vec((any::<u128>(), 14u32..128), 1..40),
        ) {
            let wide: Vec<u128> = w.iter().map(|(weight, cut)| weight >> cut).collect();
            prop_assume!(wide.iter().any(|weight| *weight > 0));
            let as_amounts: Vec<Amount> = wide.iter().copied().map(Amount::new).collect();
            let parts = apportion_by_amounts(Amount::new(pot), &as_amounts, &Ties::Index).unwrap();
            prop_assert_eq!(units(&parts), by_definition(pot, &wide));
            let narrow: Vec<u64> = wide.iter().map(|weight| (*weight >> 66) as u64).collect();
            prop_assume!(narrow.iter().any(|weight| *weight > 0));
            let widened: Vec<u128> = narrow.iter().map(|weight| u128::from(*weight)).collect();
            let parts = apportion(Amount::new(pot), &narrow, &Ties::Index).unwrap();
            prop_assert_eq!(units(&parts), by_definition(pot, &widened));
            // Parts of 64 bits are the same ones, or the pot is none of theirs.
            let mut half: Vec<u64> = vec![];
            let mut apportioner = Apportioner::default();
            let split =
                apportioner.apportion_into(Amount::new(pot), &narrow, &Ties::Index, &mut half);
            if pot > u128::from(u64::MAX) {
                prop_assert_eq!(split, Err(Refusal::Overflow));
            } else {
                let half: Vec<u128> = half.into_iter().map(u128::from).collect();
                prop_assert_eq!(units(&parts), half);
            }
        }

        #[test]
        fn both_floors_agree(pot in any::<u64>(), total in 1u64..(1 << 63), w in any::<u64>()) {
            let weight = w % (total + 1);
            let fast = FastFloor::new(pot, total).divide(weight);
            prop_assert_eq!(fast, slow_floor(pot, total, weight));
        }

        #[test]
        fn reversing_the_named_reverses_the_parts(pot in 0u64..1000, w in some_weights()) {
            let names: Vec<String> = (0..w.len()).map(|i| format!("id-{i}")).collect();
            let split = |w: &[u64], names: &[String]| {
                let identities = Identities::Named(names);
                let ties = Ties::Keyed { run: b"r", epoch: 0, identities, members: None };
                apportion(Amount::new(u128::from(pot)), w, &ties)
            };
            let forward = split(&w, &names).unwrap();
            let back: Vec<u64> = w.iter().rev().copied().collect();
            let back_names: Vec<String> = names.iter().rev().cloned().collect();
            let mut backward = split(&back, &back_names).unwrap();
            backward.reverse();
            prop_assert_eq!(forward, backward);
        }
    }
}
