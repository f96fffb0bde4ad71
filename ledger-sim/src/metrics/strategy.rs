//! What strategic behaviour gains, and the prices that stop it.

/// Gain of `parts` identities over one: `U(m) / U(1) - 1`. `None` when one identity earns nothing.
pub fn sybil_gain(one: f64, parts: f64) -> Option<f64> {
    (one > 0.0).then(|| parts / one - 1.0)
}

/// Sybil-proofing price `max over m >= 2 of (U(m) - U(1)) / (m - 1)` and the `m` that needs it;
/// `utilities[m - 1]` is `U(m)`. The price is per identity, and zero when no split gains.
/// `None` for fewer than two utilities.
pub fn sybil_proofing_price(utilities: &[f64]) -> Option<(f64, usize)> {
    let (one, rest) = utilities.split_first()?;
    let prices = rest.iter().zip(1usize..).filter_map(|(utility, further)| {
        Some((price_of_names(*one, *utility, further)?.max(0.0), further + 1))
    });
    prices.reduce(|best, next| if next.0 > best.0 { next } else { best })
}

/// What `further` names bring each: `(U(m) - U(1)) / (m - 1)`. `None` without any.
pub fn price_of_names(one: f64, parts: f64, further: usize) -> Option<f64> {
    (further > 0).then(|| (parts - one) / further as f64)
}

/// Plagiarism transfer: the thief's take over the victim's loss. `None` without a loss.
pub fn plagiarism_transfer(take: f64, loss: f64) -> Option<f64> {
    (loss > 0.0).then(|| take / loss)
}

/// Griefing factor: loss inflicted on others over the attacker's own cost, forgone pay included.
/// Infinite when the attack costs nothing; `None` when it inflicts nothing.
pub fn griefing_factor(inflicted: f64, own_cost: f64) -> Option<f64> {
    (inflicted > 0.0).then(|| if own_cost > 0.0 { inflicted / own_cost } else { f64::INFINITY })
}

/// Griefing in money: what others lose beyond what the attacker gains. Where money only changes
/// hands it is nothing; unlike the factor it is defined for every attack, and small where an attack
/// moves little, so that cases can be compared.
pub fn griefing_loss(inflicted: f64, gain: f64) -> f64 {
    (inflicted - gain.max(0.0)).max(0.0)
}

/// Return on poison: (payout - slashed) / cost. `None` without a cost.
pub fn poison_return(payout: f64, slashed: f64, cost: f64) -> Option<f64> {
    (cost > 0.0).then(|| (payout - slashed) / cost)
}

/// Collusion gain: joint payout of a ring over its honest joint payout, minus one.
pub fn collusion_gain(honest: f64, ring: f64) -> Option<f64> {
    sybil_gain(honest, ring)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        assert_eq!(sybil_gain(2.0, 3.0), Some(0.5));
        assert_eq!(sybil_gain(0.0, 3.0), None);
        // (3 - 2) / 1 = 1, (5 - 2) / 2 = 1.5, (5 - 2) / 3 = 1.
        assert_eq!(sybil_proofing_price(&[2.0, 3.0, 5.0, 5.0]), Some((1.5, 3)));
        assert_eq!(sybil_proofing_price(&[2.0, 1.0]), Some((0.0, 2)));
        assert_eq!(sybil_proofing_price(&[2.0]), None);
        assert_eq!((price_of_names(2.0, 5.0, 2), price_of_names(2.0, 5.0, 0)), (Some(1.5), None));
        // The coverage game: 5/6 taken, 3/2 - 5/6 lost.
        assert!((plagiarism_transfer(5.0 / 6.0, 2.0 / 3.0).unwrap() - 1.25).abs() < 1e-12);
        assert_eq!(griefing_factor(2.0, 1.0), Some(2.0));
        assert_eq!(griefing_factor(2.0, 0.0), Some(f64::INFINITY));
        assert_eq!(griefing_factor(0.0, 0.0), None);
        // Of three that others lose the attacker has two; a theft leaves nothing, and who loses
        // himself makes the loss of others no smaller.
        assert_eq!((griefing_loss(3.0, 2.0), griefing_loss(2.0, 3.0)), (1.0, 0.0));
        assert_eq!((griefing_loss(3.0, -2.0), griefing_loss(0.0, 0.0)), (3.0, 0.0));
        assert_eq!(poison_return(10.0, 4.0, 3.0), Some(2.0));
        assert_eq!(collusion_gain(4.0, 5.0), Some(0.25));
    }
}
