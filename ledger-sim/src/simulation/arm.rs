//! One run of a world: the books, and what happens to them.
//!
//! Arms share every draw and differ in what the rule sees (true scores or estimates), in friction,
//! and in whether agents act.

use crate::account::{Account, Family};
use crate::apportion::Identities;
use crate::audit::{AuditReport, audit};
use crate::emission::InflationController;
use crate::friction::{self, Friction};
use crate::ledger::Ledger;
use crate::money::Amount;
use crate::posting::{Kind, Line};
use crate::prices::Price;
use crate::random::{Purpose, Streams};
use crate::refusal::Refusal;
use crate::rules::{self, Inputs, Settlement, State};
use crate::scenario::{Clock, EmissionLaw, Granularity, Holder, MoneySource, Period, World};
use crate::settlement::{Money as Settled, post_money};

use super::inputs::{SideInputs, Sight, Trailing, Views};
use super::population::Population;
use super::requests::{DemandPlan, Query, Requests};

/// How much money stands between a payout and its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Nothing: balances count as received.
    Free,
    /// Onboarding, minimum withdrawals, costs.
    Frictional,
}

/// Everything that arms share.
pub struct Stage<'a> {
    pub world: &'a World,
    pub clock: Clock,
    pub streams: Streams,
    pub seed: u64,
    pub prices: Vec<Price>,
    pub plan: DemandPlan,
}

/// What an epoch was like.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct EpochNumbers {
    pub queries: f64,
    pub fees: Amount,
    pub emission: Amount,
    pub paid: Amount,
    pub treasury: Amount,
    pub contributors: f64,
}

/// A run.
pub struct Arm<'a> {
    stage: &'a Stage<'a>,
    population: &'a Population,
    sight: Sight,
    access: Access,
    ledger: Ledger,
    state: State,
    active: Vec<Vec<usize>>,
    lasting: Vec<f64>,
    trailing: Trailing,
    settlements: u32,
    pending: Option<Settled>,
    fees: Shares,
    emission_left: Amount,
    epoch_queries: usize,
    inflation: Option<InflationController>,
    usage_years: f64,
    emitted: Amount,
    released: Vec<Amount>,
    /// Money that was there for contributors and nodes.
    money_in: Amount,
    nodes_paid: Amount,
    returned: Amount,
    received: Vec<Amount>,
    first_paid: Vec<Option<u32>>,
    numbers: Vec<EpochNumbers>,
    payouts_by_epoch: Vec<Vec<Amount>>,
    slashed: Vec<bool>,
}

/// Fees that have been taken and not yet posted.
#[derive(Clone, Copy, Debug, Default)]
struct Shares {
    platform: Amount,
    model: Amount,
    stakers: Amount,
    contributors: Amount,
}

/// What a finished run leaves: audited.
pub struct Finished {
    pub received: Vec<Amount>,
    pub gross: Vec<Amount>,
    pub stranded: Amount,
    pub burn: Amount,
    pub carry: Amount,
    pub claim_costs: Amount,
    pub money_in: Amount,
    pub first_paid: Vec<Option<u32>>,
    pub numbers: Vec<EpochNumbers>,
    pub payouts_by_epoch: Vec<Vec<Amount>>,
    pub slashed: Amount,
    pub report: AuditReport,
}

impl<'a> Arm<'a> {
    /// Books at genesis.
    ///
    /// # Errors
    /// Those of the ledger.
    pub fn open(
        stage: &'a Stage<'a>,
        population: &'a Population,
        sight: Sight,
        access: Access,
    ) -> Result<Self, Refusal> {
        let views = Views {
            world: stage.world,
            population,
            streams: &stage.streams,
            sight,
            epoch_days: stage.clock.epoch_days,
        };
        // A game of items pays persons, every other rule names.
        let accounts = match stage.world.payouts.needs("an item game with owners") {
            true => population.persons as usize,
            false => population.identities.len().max(population.persons as usize),
        };
        let economy = &stage.world.economy;
        let inflation = match economy.emission.law {
            EmissionLaw::Inflation { initial, step, target, .. } => Some(InflationController {
                inflation: initial,
                step,
                target,
                supply: economy.scale.supply().minus(economy.unminted)?,
            }),
            _ => None,
        };
        let mut arm = Self {
            stage,
            population,
            sight,
            access,
            ledger: Ledger::new(economy.scale.supply())?,
            state: State::Fresh,
            active: vec![],
            lasting: views.lasting_errors(),
            trailing: Trailing::default(),
            settlements: 0,
            pending: None,
            fees: Shares::default(),
            emission_left: Amount::ZERO,
            epoch_queries: 0,
            inflation,
            usage_years: 0.0,
            emitted: Amount::ZERO,
            released: vec![Amount::ZERO; economy.allocations.len()],
            money_in: Amount::ZERO,
            nodes_paid: Amount::ZERO,
            returned: Amount::ZERO,
            received: vec![Amount::ZERO; accounts],
            first_paid: vec![None; accounts],
            numbers: vec![],
            payouts_by_epoch: vec![],
            slashed: vec![false; population.persons as usize],
        };
        arm.genesis(accounts)?;
        Ok(arm)
    }

    /// Account of everybody outside.
    fn market(&self) -> Account {
        Account::new(Family::Wallet, self.received.len() as u32)
    }

    fn genesis(&mut self, accounts: usize) -> Result<(), Refusal> {
        let economy = &self.stage.world.economy;
        let stakes = self.stakes();
        let staked = Amount::total(stakes.iter().copied())?;
        let nodes = self.stage.world.nodes.count as usize;
        for (family, count) in [
            (Family::Contributor, accounts),
            (Family::Wallet, accounts + 1),
            (Family::Stake, stakes.len()),
            (Family::Vest, economy.allocations.len()),
            (Family::Node, nodes),
            (Family::Model, 1),
            (Family::Stakers, 1),
        ] {
            self.ledger.open(family, count)?;
        }
        let mut lines = vec![];
        let mut minted = Amount::ZERO;
        let mut give = |account, amount: Amount| -> Result<(), Refusal> {
            minted = minted.plus(amount)?;
            if !amount.is_zero() {
                lines.push(Line::new(account, amount.signed()?));
            }
            Ok(())
        };
        give(Account::TREASURY, economy.treasury)?;
        give(self.market(), economy.market.minus(staked)?)?;
        for (at, bucket) in (0u32..).zip(&economy.allocations) {
            give(Account::new(Family::Vest, at), bucket.amount)?;
        }
        for (at, stake) in (0u32..).zip(&stakes) {
            give(Account::new(Family::Stake, at), *stake)?;
        }
        lines.push(Line::new(Account::MINT, -minted.signed()?));
        self.ledger.post(Kind::Emit, 0, &lines)?;
        Ok(())
    }

    fn stakes(&self) -> Vec<Amount> {
        self.population.identities.iter().map(|identity| identity.stake).collect()
    }

    /// Begins an epoch: releases what is due, decides the emission, and asks for the queries.
    ///
    /// # Errors
    /// Those of the ledger and of the fees.
    pub fn begin(&mut self, epoch: u32) -> Result<Requests, Refusal> {
        self.release(epoch)?;
        self.active = self.views().active(epoch);
        let price = self.stage.prices[epoch as usize];
        let stage = self.stage;
        let requests = stage.plan.requests(
            stage.world,
            &stage.clock,
            self.population,
            &stage.streams,
            epoch,
            price,
        )?;
        self.epoch_queries = requests.queries.len();
        self.numbers.push(EpochNumbers {
            queries: requests.queries.len() as f64,
            contributors: self.active.iter().map(Vec::len).sum::<usize>() as f64,
            ..EpochNumbers::default()
        });
        self.payouts_by_epoch.push(vec![Amount::ZERO; self.received.len()]);
        self.emission_left = self.emission(epoch, requests.queries.len())?;
        Ok(requests)
    }

    fn views(&self) -> Views<'a> {
        Views {
            world: self.stage.world,
            population: self.population,
            streams: &self.stage.streams,
            sight: self.sight,
            epoch_days: self.stage.clock.epoch_days,
        }
    }

    /// Opens locked buckets as far as their schedules say.
    fn release(&mut self, epoch: u32) -> Result<(), Refusal> {
        let months = (f64::from(epoch) * self.stage.clock.epoch_days / 30.0).floor() as u64;
        for (at, bucket) in (0u32..).zip(&self.stage.world.economy.allocations) {
            let due = bucket.at_launch.plus(bucket.schedule.cumulative(months)?)?;
            let amount = due.minus(self.released[at as usize])?;
            if amount.is_zero() {
                continue;
            }
            self.released[at as usize] = due;
            let to = match bucket.to {
                Holder::Market => self.market(),
                Holder::Treasury => Account::TREASURY,
            };
            let amount = amount.signed()?;
            let lines = [Line::new(Account::new(Family::Vest, at), -amount), Line::new(to, amount)];
            self.ledger.post(Kind::Unlock, self.settlements, &lines)?;
        }
        Ok(())
    }

    /// What is emitted to contributors in an epoch.
    fn emission(&mut self, epoch: u32, queries: usize) -> Result<Amount, Refusal> {
        let years = |epoch: u32| f64::from(epoch) * self.stage.clock.epoch_days / 365.0;
        let after = epoch + 1;
        let cumulative = match self.stage.world.economy.emission.law {
            EmissionLaw::None => Amount::ZERO,
            EmissionLaw::Constant(amount) => amount.times(u64::from(after))?,
            EmissionLaw::Halving(halving) => halving.cumulative(u64::from(after))?,
            EmissionLaw::Exponential { total, half_life_years } => {
                let share = crate::emission::exponential_share(years(after), half_life_years);
                crate::emission::part_of(total, share)?
            }
            EmissionLaw::Baseline { total, minting, queries_per_year } => {
                let step = years(1);
                let usage = queries as f64 / step / queries_per_year;
                let baseline = minting.baseline_usage_years(years(after))
                    - minting.baseline_usage_years(years(epoch));
                self.usage_years += (usage * step).min(baseline);
                let share = minting.simple_share(years(after))
                    + minting.baseline_minted_share(self.usage_years);
                crate::emission::part_of(total, share.min(1.0))?
            }
            EmissionLaw::Inflation { bonded, .. } => {
                let Some(controller) = self.inflation else { return Ok(Amount::ZERO) };
                let (minted, next) = controller.round(bonded.of(controller.supply))?;
                self.inflation = Some(next);
                self.emitted.plus(minted)?
            }
        };
        let amount = cumulative.excess_over(self.emitted);
        if queries == 0 && !self.pays_users() {
            // Nobody asked, so that nobody earned it: it is emitted with the next queries.
            return Ok(Amount::ZERO);
        }
        self.emitted = cumulative;
        Ok(amount)
    }

    /// Whether money comes by user and epoch, whatever the number of queries.
    fn pays_users(&self) -> bool {
        matches!(self.stage.world.economy.fee, crate::scenario::Fee::Subscription(_))
    }

    /// Queries in a settlement.
    pub fn period(&self, queries: usize) -> usize {
        match self.stage.world.payouts.period {
            Period::Epoch => queries.max(1),
            Period::Queries(count) => count as usize,
        }
    }

    /// Takes fees of queries, splits them, and pays contributors.
    ///
    /// # Errors
    /// Those of the rule and of the ledger.
    pub fn settle(
        &mut self,
        epoch: u32,
        queries: &[Query],
        subscription: Amount,
    ) -> Result<(), Refusal> {
        let emission = self.emission_part(queries.len())?;
        let mut pots = self.take_fees(queries, subscription)?;
        let fees = pots.iter().try_fold(Amount::ZERO, |sum, pot| sum.plus(*pot))?;
        spread(&mut pots, emission)?;
        let views = self.views();
        let payouts = &self.stage.world.payouts;
        let usage = views.usage(queries, &self.active)?;
        let scores = match payouts.rule.reads_scores() {
            true => Some(views.scores(epoch, queries, &self.active, &self.lasting)?),
            false => None,
        };
        let mut side = SideInputs::default();
        if payouts.needs("trailing use") {
            self.trailing.add(epoch, &usage);
            let window = (365.0 / self.stage.clock.epoch_days).round().max(1.0) as u32;
            side.trailing =
                Some(self.trailing.read(epoch, window, self.population.identities.len()));
        }
        if payouts.needs("stakes") {
            side.stakes = Some(self.bonded()?);
        }
        let pot = fees.plus(emission)?;
        let net = match &scores {
            Some(scores) if !payouts.needs.is_empty() => scores.sums()?,
            _ => vec![],
        };
        side.fill(&views, epoch, &self.active, &net, queries.len(), pot)?;
        if payouts.needs("a pot for each user") {
            pots = self.pots_by_user(queries, &pots, subscription, emission)?;
        }
        side.usage = Some(usage);
        let contributors = match payouts.needs("an item game with owners") {
            true => self.population.persons as usize,
            false => self.population.identities.len(),
        };
        let settlement = {
            let mut inputs = Inputs::new(contributors, &pots);
            let run = self.stage.seed.to_be_bytes();
            inputs.carry_in = self.carry()?;
            inputs.epoch = self.settlements;
            inputs.run = &run;
            inputs.identities = Identities::Numbered;
            inputs.on_empty = payouts.on_empty;
            inputs.streams = Some(self.stage.streams);
            inputs.scores = scores.as_ref();
            let query_fees: Vec<Amount> = queries.iter().map(|query| query.fee).collect();
            inputs.query_fees = Some(&query_fees);
            inputs.side = side.side();
            rules::settle(payouts.rule.as_ref(), &inputs, &self.state)?
        };
        self.book(epoch, fees, emission, settlement)
    }

    /// What the next settlement finds left, posted or not.
    fn carry(&self) -> Result<Amount, Refusal> {
        match &self.pending {
            Some(pending) => Ok(pending.carry_out),
            None => self.ledger.balance(Account::CARRY),
        }
    }

    fn bonded(&self) -> Result<Vec<Amount>, Refusal> {
        let mut bonded = Vec::with_capacity(self.population.identities.len());
        for at in 0..self.population.identities.len() as u32 {
            bonded.push(self.ledger.balance(Account::new(Family::Stake, at))?);
        }
        Ok(bonded)
    }

    /// Emission is spread equally over the queries of an epoch.
    fn emission_part(&mut self, queries: usize) -> Result<Amount, Refusal> {
        let part = match self.epoch_queries {
            0 => self.emission_left,
            left => self.emission_left.scaled(queries as u128, left as u128)?,
        };
        self.emission_left = self.emission_left.minus(part)?;
        self.epoch_queries = self.epoch_queries.saturating_sub(queries);
        Ok(part)
    }

    /// Splits what is paid among the parties; returns the contributors' part, query by query.
    fn take_fees(
        &mut self,
        queries: &[Query],
        subscription: Amount,
    ) -> Result<Vec<Amount>, Refusal> {
        let split = self.stage.world.economy.split;
        let each = self.pays_users().then(|| -> Result<Vec<Amount>, Refusal> {
            let users = self.stage.world.demand.users + self.population.washes.len() as u64;
            let total = subscription.times(users)?;
            let mut fees = vec![Amount::ZERO; queries.len().max(1)];
            spread(&mut fees, total)?;
            Ok(fees)
        });
        let fees: Vec<Amount> = match each {
            Some(fees) => fees?,
            None => queries.iter().map(|query| query.fee).collect(),
        };
        let mut pots = Vec::with_capacity(fees.len());
        for fee in fees {
            let shares = split.share(fee)?;
            self.fees.platform = self.fees.platform.plus(shares.platform)?;
            self.fees.model = self.fees.model.plus(shares.model)?;
            self.fees.stakers = self.fees.stakers.plus(shares.stakers)?;
            self.fees.contributors = self.fees.contributors.plus(shares.contributors)?;
            if let Some(numbers) = self.numbers.last_mut() {
                numbers.fees = numbers.fees.plus(fee)?;
            }
            pots.push(shares.contributors);
            if self.stage.world.payouts.journal == Granularity::Query {
                self.post_fees()?;
            }
        }
        Ok(pots)
    }

    /// Money of each user, for rules that split it user by user.
    fn pots_by_user(
        &self,
        queries: &[Query],
        pots: &[Amount],
        subscription: Amount,
        emission: Amount,
    ) -> Result<Vec<Amount>, Refusal> {
        let users = self.stage.world.demand.users as usize + self.population.washes.len();
        let mut by_user = vec![Amount::ZERO; users];
        if subscription.is_zero() {
            for (query, pot) in queries.iter().zip(pots) {
                let slot = &mut by_user[query.user as usize];
                *slot = slot.plus(*pot)?;
            }
            return Ok(by_user);
        }
        // Every user pays the same, and the emission is theirs in equal parts as well.
        let total = Amount::total(pots.iter().copied())?;
        debug_assert!(total >= emission);
        spread(&mut by_user, total)?;
        Ok(by_user)
    }

    /// Enters a settlement in the books, or keeps it until the end of the epoch.
    fn book(
        &mut self,
        epoch: u32,
        fees: Amount,
        emission: Amount,
        settlement: Settlement,
    ) -> Result<(), Refusal> {
        self.note(epoch, fees, emission, &settlement)?;
        let carry_in = self.ledger.balance(Account::CARRY)?;
        self.state = settlement.state.clone();
        let journal = self.stage.world.payouts.journal;
        match (&mut self.pending, journal) {
            (Some(pending), Granularity::Epoch) => pending.add(fees, emission, &settlement)?,
            (_, Granularity::Epoch) => {
                self.pending = Some(Settled::of(carry_in, fees, emission, settlement));
            }
            _ => {
                self.post_fees()?;
                self.post(&Settled::of(carry_in, fees, emission, settlement))?;
                self.settlements += 1;
            }
        }
        Ok(())
    }

    fn note(
        &mut self,
        epoch: u32,
        fees: Amount,
        emission: Amount,
        settlement: &Settlement,
    ) -> Result<(), Refusal> {
        let slashed = Amount::total(settlement.slashed.iter().copied())?;
        let more = [fees, emission, settlement.drawn, slashed];
        self.money_in = self.money_in.plus(Amount::total(more)?)?;
        self.nodes_paid = self.nodes_paid.plus(Amount::total(settlement.nodes.iter().copied())?)?;
        self.returned = self.returned.plus(settlement.returned)?;
        let numbers = self.numbers.last_mut();
        let Some(numbers) = numbers else { return Ok(()) };
        numbers.emission = numbers.emission.plus(emission)?;
        numbers.paid = numbers.paid.plus(settlement.paid()?)?;
        for (at, amount) in settlement.payouts.iter().enumerate() {
            if !amount.is_zero() {
                let sum = &mut self.payouts_by_epoch[epoch as usize][at];
                *sum = sum.plus(*amount)?;
            }
        }
        Ok(())
    }

    /// The pot that settlements of now are paid from.
    fn pot(&mut self) -> Result<Account, Refusal> {
        self.ledger.open(Family::Pot, self.settlements as usize + 1)?;
        Ok(Account::pot(self.settlements))
    }

    fn post_fees(&mut self) -> Result<(), Refusal> {
        let Shares { platform, model, stakers, contributors } = std::mem::take(&mut self.fees);
        let paid = Amount::total([platform, model, stakers, contributors])?;
        if paid.is_zero() {
            return Ok(());
        }
        let pot = self.pot()?;
        let lines = [
            Line::new(self.market(), -paid.signed()?),
            Line::new(Account::PLATFORM, platform.signed()?),
            Line::new(Account::new(Family::Model, 0), model.signed()?),
            Line::new(Account::new(Family::Stakers, 0), stakers.signed()?),
            Line::new(pot, contributors.signed()?),
        ];
        self.ledger.post(Kind::FeeIn, self.settlements, &lines)?;
        Ok(())
    }

    fn post(&mut self, settled: &Settled) -> Result<(), Refusal> {
        let pot = self.pot()?;
        if !settled.emission.is_zero() {
            let source = match self.stage.world.economy.emission.source {
                MoneySource::Mint => Account::MINT,
                MoneySource::Treasury => Account::TREASURY,
            };
            let amount = settled.emission.signed()?;
            let lines = [Line::new(source, -amount), Line::new(pot, amount)];
            self.ledger.post(Kind::Emit, self.settlements, &lines)?;
        }
        post_money(&mut self.ledger, self.settlements, settled)
    }

    /// Ends an epoch: claims, sweeps, detection, and money that goes round.
    ///
    /// # Errors
    /// Those of the ledger.
    pub fn end(&mut self, epoch: u32) -> Result<(), Refusal> {
        if let Some(pending) = self.pending.take() {
            self.post_fees()?;
            self.post(&pending)?;
            self.settlements += 1;
        }
        self.detect(epoch)?;
        if self.access == Access::Frictional {
            self.claim(epoch)?;
            self.sweep(epoch)?;
        }
        self.circulate()?;
        for (at, first) in self.first_paid.iter_mut().enumerate() {
            let has = match self.access {
                Access::Free => !self.ledger.balance(Account::contributor(at as u32))?.is_zero(),
                Access::Frictional => !self.received[at].is_zero(),
            };
            if has && first.is_none() {
                *first = Some(epoch);
            }
        }
        let treasury = self.ledger.balance(Account::TREASURY)?;
        if let Some(numbers) = self.numbers.last_mut() {
            numbers.treasury = treasury;
        }
        Ok(())
    }

    /// Friction at today's price.
    fn friction(&self, epoch: u32) -> Result<Friction, Refusal> {
        use crate::document::Money;
        let economy = &self.stage.world.economy;
        let price = self.stage.prices[epoch as usize];
        let tokens = |money| match money {
            Money::Tokens(amount) => Ok(amount),
            Money::Dollars(amount) => price.tokens(amount, economy.scale),
        };
        Ok(Friction {
            minimum_withdrawal: tokens(economy.friction.minimum_withdrawal)?,
            claim_cost: tokens(economy.friction.claim_cost)?,
        })
    }

    /// Whether the owner of an account is onboarded; names of one person share the answer.
    fn is_onboarded(&self, account: usize) -> bool {
        let person = self.person_of(account);
        let place = self.stage.streams.uniform(Purpose::Onboarding, u64::from(person), 0, 0);
        place < self.stage.world.economy.friction.onboarded
    }

    /// The person behind a contributor's account.
    fn person_of(&self, account: usize) -> u32 {
        if self.stage.world.payouts.needs("an item game with owners") {
            return account as u32;
        }
        self.population.identities.get(account).map_or(account as u32, |identity| identity.person)
    }

    fn claim(&mut self, epoch: u32) -> Result<(), Refusal> {
        let every = self.stage.world.economy.friction.claim_every;
        if !(epoch + 1).is_multiple_of(every) && epoch + 1 != self.stage.clock.epochs {
            return Ok(());
        }
        let friction = self.friction(epoch)?;
        let onboarded: Vec<bool> =
            (0..self.received.len()).map(|at| self.is_onboarded(at)).collect();
        let claims =
            friction::claim_together(&mut self.ledger, self.settlements, &friction, |at| {
                onboarded.get(at as usize).copied().unwrap_or(false)
            })?;
        for (sum, claimed) in self.received.iter_mut().zip(claims) {
            *sum = sum.plus(claimed)?;
        }
        Ok(())
    }

    fn sweep(&mut self, epoch: u32) -> Result<(), Refusal> {
        let Some(after) = self.stage.world.economy.friction.sweep_after else { return Ok(()) };
        if !(epoch + 1).is_multiple_of(after) {
            return Ok(());
        }
        let absent: Vec<u32> =
            (0..self.received.len() as u32).filter(|at| !self.is_onboarded(*at as usize)).collect();
        let swept = friction::sweep(&mut self.ledger, self.settlements, &absent)?;
        self.returned = self.returned.plus(swept)?;
        Ok(())
    }

    /// Takes the stake of whoever is found out.
    fn detect(&mut self, epoch: u32) -> Result<(), Refusal> {
        for watch in &self.population.watches {
            let person = watch.person as usize;
            let place =
                self.stage.streams.uniform(Purpose::Attack, u64::from(watch.person), epoch, 0);
            if self.slashed[person] || place >= watch.probability {
                continue;
            }
            self.slashed[person] = true;
            for at in self.population.of(watch.person) {
                let stake = Account::new(Family::Stake, at as u32);
                let bonded = self.ledger.balance(stake)?.signed()?;
                if bonded > 0 {
                    let lines = [Line::new(stake, -bonded), Line::new(Account::SLASHED, bonded)];
                    self.ledger.post(Kind::Slash, self.settlements, &lines)?;
                }
            }
        }
        Ok(())
    }

    /// Platform, model owner and stakers spend what they earned; it circulates again.
    fn circulate(&mut self) -> Result<(), Refusal> {
        let spenders =
            [Account::PLATFORM, Account::new(Family::Model, 0), Account::new(Family::Stakers, 0)];
        let mut lines = vec![];
        let mut spent = Amount::ZERO;
        for account in spenders {
            let balance = self.ledger.balance(account)?;
            if !balance.is_zero() {
                spent = spent.plus(balance)?;
                lines.push(Line::new(account, -balance.signed()?));
            }
        }
        if !lines.is_empty() {
            lines.push(Line::new(self.market(), spent.signed()?));
            self.ledger.post(Kind::Withdraw, self.settlements, &lines)?;
        }
        Ok(())
    }

    /// Audits the books and sums up by person.
    ///
    /// # Errors
    /// Whatever the audit finds.
    pub fn finish(self) -> Result<Finished, Refusal> {
        let report = audit(&self.ledger)?;
        let accounts = self.received.len();
        let mut balances = Vec::with_capacity(accounts);
        for at in 0..accounts as u32 {
            balances.push(self.ledger.balance(Account::contributor(at))?);
        }
        let stranded = match self.access {
            Access::Free => Amount::ZERO,
            Access::Frictional => Amount::total(balances.iter().copied())?,
        };
        let held = match self.access {
            Access::Free => &balances,
            Access::Frictional => &self.received,
        };
        let by_person = |amounts: &[Amount]| -> Result<Vec<Amount>, Refusal> {
            let mut sums = vec![Amount::ZERO; self.population.persons as usize];
            for (at, amount) in amounts.iter().enumerate().filter(|(_, amount)| !amount.is_zero()) {
                let sum = &mut sums[self.person_of(at) as usize];
                *sum = sum.plus(*amount)?;
            }
            Ok(sums)
        };
        let mut gross = vec![Amount::ZERO; self.population.persons as usize];
        let mut by_epoch = Vec::with_capacity(self.payouts_by_epoch.len());
        for payouts in &self.payouts_by_epoch {
            let payouts = by_person(payouts)?;
            for (sum, payout) in gross.iter_mut().zip(&payouts) {
                *sum = sum.plus(*payout)?;
            }
            by_epoch.push(payouts);
        }
        let mut first_paid = vec![None; self.population.persons as usize];
        for (at, first) in self.first_paid.iter().enumerate() {
            let slot: &mut Option<u32> = &mut first_paid[self.person_of(at) as usize];
            *slot = match (*slot, *first) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
        }
        Ok(Finished {
            received: by_person(held)?,
            gross,
            stranded,
            burn: self.ledger.balance(Account::BURN)?,
            carry: self.ledger.balance(Account::CARRY)?,
            claim_costs: self.ledger.balance(Account::GAS)?,
            money_in: self.money_in.minus(self.nodes_paid)?.minus(self.returned)?,
            first_paid,
            numbers: self.numbers,
            payouts_by_epoch: by_epoch,
            slashed: self.ledger.balance(Account::SLASHED)?,
            report,
        })
    }
}

/// Adds `money` to `pots` in equal parts, the first ones a unit more where it does not divide.
fn spread(pots: &mut Vec<Amount>, money: Amount) -> Result<(), Refusal> {
    if money.is_zero() {
        return Ok(());
    }
    if pots.is_empty() {
        pots.push(Amount::ZERO);
    }
    let count = pots.len() as u128;
    let (each, more) = (money.get() / count, money.get() % count);
    for (at, pot) in (0u128..).zip(pots) {
        *pot = pot.plus(Amount::new(each + u128::from(at < more)))?;
    }
    Ok(())
}
