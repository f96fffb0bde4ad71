//! A specification that has been checked: only this runs.

use std::{collections::BTreeSet, sync::Arc};

use attribench_core::{
    AccessLevel, AnyModel, DataShape, EncoderEntry, ErasedMethod, Examples, FitReal,
    Instrumentation, MethodEntry, Model, ModelEntry, ModelInput, ParameterError, Record, Scale,
    Utility, ValuationEntry, Verdict,
};
use attribench_datasets::{
    AnswerKey, Dataset, SplitOptions, Splits, Targets, assign_owners, corrupt, embedded_weights,
    load, split,
};
use serde_saphyr::Spanned;

use crate::{
    diagnostics::Diagnostic,
    expectation::Condition,
    files::{
        configuration,
        encoder::TextEncoder,
        parameters::{self, Names},
    },
    games::{self, PlannedGame},
    known_part::KnownShare,
    measure::rounds::label as round_label,
    proxy::Proxy,
    shown::Shown,
    spec::{Base, Named, Spec, Weights},
    store::Key,
    trace::Keeping,
    training::Schedule,
    treasury::Treasury,
    truths,
};

/// Everything that is known by name.
pub struct Registries<'a> {
    /// Attribution methods.
    pub methods: &'a [MethodEntry],
    /// Models.
    pub models: &'a [ModelEntry],
    /// Encoders of texts.
    pub encoders: &'a [EncoderEntry],
    /// Values of games.
    pub values: &'static [ValuationEntry],
    /// Payout rules.
    pub treasury: &'a dyn Treasury,
    /// Hash of the code that all numbers come from; results of other code are never used again.
    pub code: &'a str,
}

/// A method with its parameters and the label that its results carry.
#[derive(Clone)]
pub struct PlannedMethod {
    /// The method's name, or the `label` among its parameters.
    pub label: String,
    /// The method with each of its settings, at least one; several are tuned over.
    pub settings: Vec<Arc<dyn ErasedMethod>>,
    /// What is logged of the run for the method, the `logged` among its parameters; all by default.
    pub log: Instrumentation,
    /// Share of the examples that the method is shown, the `known` among its parameters.
    pub known: Option<KnownShare>,
    /// Model that is trained and looked into instead, the `proxy` among its parameters.
    pub proxy: Option<Proxy>,
    /// Encoder through which the method is shown texts, the `encoder` among its parameters.
    pub encoder: Option<Arc<TextEncoder>>,
}

impl PlannedMethod {
    /// The method in its first setting: name, scale and access are those of all.
    pub fn method(&self) -> &dyn ErasedMethod {
        self.settings[0].as_ref()
    }

    /// What is read of the run: by a proxy, its data alone.
    pub fn level(&self) -> AccessLevel {
        if self.proxy.is_some() { AccessLevel::BlackBox } else { self.method().level() }
    }

    /// Whether the method walks the run itself, step by step.
    pub fn walks(&self) -> bool {
        self.level() == AccessLevel::FullTrace
    }
}

/// A checked experiment with its data at hand.
#[derive(Clone)]
pub struct Plan {
    /// The specification.
    pub spec: Spec,
    /// Training set, after ownership and corruption, scaled.
    pub train: Dataset,
    /// Queries, scaled.
    pub queries: Dataset,
    /// Queries kept apart for calibration, scaled.
    pub tuning_queries: Option<Dataset>,
    /// What was damaged; methods never see it.
    pub answer_key: AnswerKey,
    /// Model.
    pub model: Arc<dyn AnyModel>,
    /// Methods in the order of the specification.
    pub methods: Vec<PlannedMethod>,
    /// Values of the game over contributors.
    pub game: Option<Arc<PlannedGame>>,
    /// Conditions, with their text.
    pub conditions: Vec<Condition>,
    /// Parts of the prediction, likewise.
    pub predictions: Vec<Condition>,
    code: Key,
}

/// Reads and checks a specification and loads its data.
///
/// # Errors
/// All that is wrong with it, each with its place.
pub fn check(text: &str, registries: &Registries<'_>) -> Result<Plan, Vec<Diagnostic>> {
    let mut spec = Spec::parse(text)?;
    let mut found = Vec::new();
    check_numbers(&spec, &mut found);
    let prepared = match prepare(&spec) {
        Ok(prepared) => Some(prepared),
        Err(reason) => {
            found.push(Diagnostic::at(&spec.data, reason));
            None
        }
    };
    let splits = prepared.as_ref().map(|prepared| &prepared.splits);
    let methods = plan_methods(&spec, registries, splits, &mut found);
    let game = games::plan(&spec, registries.values, &mut found);
    let [conditions, predictions] = plan_conditions(&spec, &methods, game.as_ref(), &mut found);
    check_money(&spec, &methods, registries, &mut found);
    check_closed_loop(&spec, registries, &mut found);
    let can_step = spec.training.value.batch_size > 0
        && splits.is_some_and(|splits| divide_rounds(&mut spec, splits, &mut found));
    let model = prepared.as_ref().and_then(|prepared| {
        check_data(&spec, &prepared.splits, &mut found);
        check_flips(&spec, prepared, &mut found);
        check_method_inputs(&spec, &prepared.splits, registries, &mut found);
        let contributors = prepared.splits.train().contributors().len();
        games::check_players(&spec, contributors, &mut found);
        let model = plan_model(&mut spec, &prepared.splits, registries, &mut found)?;
        if can_step {
            let examples = prepared.splits.train().len();
            check_logs(&spec, &methods, model.as_ref(), examples, &mut found);
        }
        Some(model)
    });
    if let (Some(prepared), Some(model), true) = (&prepared, &model, can_step) {
        let layout = Model::<f64>::layout(model.as_ref());
        let ids = prepared.splits.train().ids();
        let entry = registries.models.iter().find(|entry| entry.name == spec.model.value.name);
        let known = entry.map_or(&[][..], |entry| entry.elsewhere.names);
        let given = spec.base.as_ref().map_or(Names::OWN.given, |base| &base.value.parameters);
        if let Err(reason) = spec.training.value.load_given(layout, Names { given, known }, ids) {
            found.push(Diagnostic::at(&spec.training, format!("`given`: {reason}")));
        }
    }
    match (prepared, model) {
        (Some(prepared), Some(model)) if found.is_empty() => {
            let (train, queries, tuning_queries) = prepared.splits.into_parts();
            let answer_key = prepared.answer_key;
            Ok(Plan {
                spec,
                train,
                queries,
                tuning_queries,
                answer_key,
                model,
                methods,
                game: game.map(Arc::new),
                conditions,
                predictions,
                code: Key::of_content(registries.code.as_bytes()),
            })
        }
        _ => Err(found),
    }
}

struct Prepared {
    splits: Splits,
    answer_key: AnswerKey,
}

fn prepare(spec: &Spec) -> Result<Prepared, String> {
    let (data, seed) = (&spec.data.value, spec.seed);
    let loaded = load(&data.source).map_err(|error| error.to_string())?;
    let options = SplitOptions {
        train_size: data.train,
        query_size: data.queries,
        tuning_query_size: data.tuning_queries,
        stratification: data.stratification,
    };
    let splits = split(loaded, &options, seed).map_err(|error| error.to_string())?;
    let splits = splits.asking(data.asks, seed).map_err(|error| error.to_string())?;
    let owned = assign_owners(splits.train().clone(), &data.ownership, seed)
        .map_err(|error| error.to_string())?;
    let first_free = splits.first_free_id();
    let (damaged, answer_key) =
        corrupt(&owned, &data.corruptions, first_free, seed).map_err(|error| error.to_string())?;
    let splits = splits
        .with_train(damaged)
        .and_then(|splits| splits.standardised(data.standardise))
        .map_err(|error| error.to_string())?;
    Ok(Prepared { splits, answer_key })
}

/// Tells the rounds whose the rows are; whether that went well.
fn divide_rounds(spec: &mut Spec, splits: &Splits, found: &mut Vec<Diagnostic>) -> bool {
    let Some(rounds) = &mut spec.training.value.rounds else { return true };
    let train = splits.train();
    let divided = rounds.divide(train.owners(), train.contributors().len());
    if let Err(reason) = divided {
        found.push(Diagnostic::at(&spec.training, format!("`rounds`: {reason}")));
        return false;
    }
    true
}

fn plan_methods(
    spec: &Spec,
    registries: &Registries<'_>,
    splits: Option<&Splits>,
    found: &mut Vec<Diagnostic>,
) -> Vec<PlannedMethod> {
    let mut labels = BTreeSet::new();
    let mut planned = Vec::new();
    for asked in &spec.methods {
        let Some(entry) =
            registries.methods.iter().find(|entry| entry.info.name == asked.value.name)
        else {
            let name = Spanned::new(&asked.value.name, asked.referenced, asked.defined);
            let known = registries.methods.iter().map(|entry| entry.info.name);
            found.push(Diagnostic::unknown("method", &name, known));
            continue;
        };
        let Named { name, mut parameters } = asked.value.clone();
        let label = asked.value.label();
        parameters.as_object_mut().and_then(|map| map.remove("label"));
        if !labels.insert(label.clone()) {
            let message = format!("two methods are called `{label}`");
            found.push(Diagnostic::at(asked, message).hint("give one of them a `label`"));
        }
        if ["run", "truth"].contains(&label.as_str()) {
            let message = format!("a method is called `{label}`");
            let hint = "`run` and `truth` name rows of their own; give it another `label`";
            found.push(Diagnostic::at(asked, message).hint(hint));
        }
        let shown = match Shown::take(&mut parameters, entry, registries.encoders) {
            Ok(shown) => shown,
            Err(reason) => {
                found.push(Diagnostic::at(asked, format!("method `{name}`: {reason}")));
                continue;
            }
        };
        let settings = match grid(parameters) {
            Ok(settings) => settings,
            Err(reason) => {
                found.push(Diagnostic::at(asked, format!("method `{name}`: {reason}")));
                continue;
            }
        };
        if settings.len() > 1 {
            check_tuning(spec, asked, found);
            if !shown.is_whole() {
                let message = format!("method `{name}` is tuned over a part of the run");
                let hint = "leave out `tune`, or `logged`, `known`, `proxy` and `encoder`";
                found.push(Diagnostic::at(asked, message).hint(hint));
            }
        }
        // Without data no model can be built, and the plan fails for that.
        let Shown { log, known, proxy, encoder } = shown;
        let proxy = proxy.zip(splits).and_then(|(proxy, splits)| {
            let (_, named, model) = built_model((proxy, asked), splits, registries, found)?;
            Some(Proxy { named, model: model.into() })
        });
        let built = settings.into_iter().map(|setting| (entry.build)(setting).map(Arc::from));
        match built.collect() {
            Ok(settings) => {
                planned.push(PlannedMethod { label, settings, log, known, proxy, encoder });
            }
            Err(error) => {
                let error: ParameterError = error;
                found.push(Diagnostic::at(asked, format!("method `{name}`: {error}")));
            }
        }
    }
    if spec.methods.is_empty() {
        found.push(Diagnostic::missing("methods").hint("name at least one method"));
    }
    planned
}

/// Methods that cannot read the data, by what they declare.
fn check_method_inputs(
    spec: &Spec,
    splits: &Splits,
    registries: &Registries<'_>,
    found: &mut Vec<Diagnostic>,
) {
    let given = input_of(splits.train());
    for asked in &spec.methods {
        let entry = registries.methods.iter().find(|entry| entry.info.name == asked.value.name);
        // An encoder stands between texts and a method that compares numbers.
        let reads = match asked.value.parameters.get("encoder") {
            Some(_) => Some(ModelInput::Tokens),
            None => entry.and_then(|entry| entry.reads),
        };
        let (reads, data) = match reads {
            Some(reads) if reads != given => match reads {
                ModelInput::Tokens => ("texts", "numbers"),
                ModelInput::Numbers => ("numbers with one label an example", "texts"),
            },
            _ => continue,
        };
        let message =
            format!("method `{}` reads {reads}, and the data are {data}", asked.value.name);
        let hint = match entry.is_some_and(|entry| entry.compares_inputs) {
            true => "name other data, or an `encoder` between texts and numbers, or none",
            false => "leave it out, or name other data",
        };
        found.push(Diagnostic::at(asked, message).hint(hint));
    }
}

/// Logs that name what the run does not have.
fn check_logs(
    spec: &Spec,
    methods: &[PlannedMethod],
    model: &dyn AnyModel,
    examples: usize,
    found: &mut Vec<Diagnostic>,
) {
    let steps = spec.training.value.steps(examples);
    let layout = <dyn AnyModel as Model<f32>>::layout(model);
    let layers: Vec<&str> = layout.layers().iter().map(|layer| layer.name.as_str()).collect();
    // Methods that could not be planned have been told of already.
    for method in methods {
        let mut asked = spec.methods.iter().filter(|asked| asked.value.label() == method.label);
        if let (Some(asked), Err(reason)) = (asked.next(), method.log.check(steps, &layers)) {
            let message = format!("method `{}`: `logged`: {reason}", method.label);
            found.push(Diagnostic::at(asked, message));
        }
    }
}

/// Most settings of one method.
const MOST_SETTINGS: usize = 1000;

/// Every combination of the values under `tune`, over the other parameters; the parameters
/// themselves where nothing is tuned.
fn grid(mut parameters: serde_json::Value) -> Result<Vec<serde_json::Value>, String> {
    let Some(tune) = parameters.as_object_mut().and_then(|map| map.remove("tune")) else {
        return Ok(vec![parameters]);
    };
    let lists = "hint: write `tune: {parameter: [value, value]}`";
    let tune = tune.as_object().ok_or_else(|| format!("`tune` is no map\n{lists}"))?;
    let mut settings = vec![parameters];
    for (name, values) in tune {
        let values = values.as_array().filter(|values| !values.is_empty());
        let values = values.ok_or_else(|| format!("`tune.{name}` lists no values\n{lists}"))?;
        let with = |setting: &serde_json::Value, value: &serde_json::Value| {
            let mut setting = setting.clone();
            setting[name] = value.clone();
            setting
        };
        settings = settings
            .iter()
            .flat_map(|setting| values.iter().map(move |value| with(setting, value)))
            .collect();
        if settings.len() > MOST_SETTINGS {
            return Err(format!("`tune` asks for more than {MOST_SETTINGS} settings"));
        }
    }
    Ok(settings)
}

/// Settings are chosen on queries and subsets of their own.
fn check_tuning(spec: &Spec, asked: &Spanned<Named>, found: &mut Vec<Diagnostic>) {
    let queries = spec.data.value.tuning_queries;
    let subsets = spec.truths.value.subsets.map_or(0, |subsets| subsets.tuning);
    if queries < 2 || subsets < 4 {
        let message =
            format!("`tune` has {queries} tuning queries and {subsets} tuning subsets to go by");
        let hint = "set `data.tuning-queries` (2 or more) and `truths.subsets.tuning` (4 or more)";
        found.push(Diagnostic::at(asked, message).hint(hint));
    }
}

fn plan_conditions(
    spec: &Spec,
    methods: &[PlannedMethod],
    game: Option<&PlannedGame>,
    found: &mut Vec<Diagnostic>,
) -> [Vec<Condition>; 2] {
    let mut labels: Vec<&str> = methods.iter().map(|method| method.label.as_str()).collect();
    labels.extend(game.iter().flat_map(|game| game.labels()));
    // A forgery stands where a method does: `found-by-audit(forged-credits)`.
    labels.extend(spec.forgeries.iter().map(|forgery| forgery.name()));
    // So does a round: `effect-of-round(round-1)`.
    let rounds = spec.training.value.rounds.as_ref().map_or(0, |rounds| rounds.count);
    let rounds: Vec<String> = (0..rounds).map(round_label).collect();
    labels.extend(rounds.iter().map(String::as_str));
    [&spec.expect, &spec.predicts].map(|texts| {
        let mut conditions = Vec::new();
        for text in texts {
            match Condition::parse(&text.value, &labels) {
                Ok(condition) => conditions.push(condition),
                Err(reason) => found.push(Diagnostic::at(text, reason)),
            }
        }
        conditions
    })
}

/// The model; what a file says of it becomes part of the specification.
fn plan_model(
    spec: &mut Spec,
    splits: &Splits,
    registries: &Registries<'_>,
    found: &mut Vec<Diagnostic>,
) -> Option<Arc<dyn AnyModel>> {
    let asked = (spec.model.value.clone(), &spec.model);
    let (entry, named, model) = built_model(asked, splits, registries, found)?;
    spec.model.value = named;
    let named = &spec.model.value;
    let Some(base) = &spec.base else { return Some(model.into()) };
    let resumed = base_parameters(&base.value, entry, model.as_ref()).and_then(|theta| {
        let (parameters, shape) = (named.parameters.clone(), data_shape(splits));
        (entry.resume)(parameters, &shape, &theta, base.value.adapters)
    });
    match resumed {
        Ok(model) => Some(model.into()),
        Err(error) => {
            found.push(Diagnostic::at(&spec.model, format!("model `{}`: {error}", named.name)));
            None
        }
    }
}

/// A model by name for the data, and its name with all that a file says of it; `place` is where it
/// was asked for.
fn built_model<'r, P>(
    (named, place): (Named, &Spanned<P>),
    splits: &Splits,
    registries: &Registries<'r>,
    found: &mut Vec<Diagnostic>,
) -> Option<(&'r ModelEntry, Named, Box<dyn AnyModel>)> {
    let Named { name, parameters } = named;
    let Some(entry) = registries.models.iter().find(|entry| entry.name == name) else {
        let name = Spanned::new(&name, place.referenced, place.defined);
        let known = registries.models.iter().map(|entry| entry.name);
        found.push(Diagnostic::unknown("model", &name, known));
        return None;
    };
    let mismatch = match (entry.reads, input_of(splits.train())) {
        (ModelInput::Tokens, ModelInput::Numbers) => Some(("tokens", "numbers", "mlp")),
        (ModelInput::Numbers, ModelInput::Tokens) => Some(("numbers", "texts", "gpt")),
        (ModelInput::Tokens, ModelInput::Tokens) | (ModelInput::Numbers, ModelInput::Numbers) => {
            None
        }
    };
    if let Some((read, given, fitting)) = mismatch {
        let message = format!("model `{name}` reads {read}, and the data are {given}");
        let hint = format!("name a model that reads them, for instance `{fitting}`");
        found.push(Diagnostic::at(place, message).hint(hint));
        return None;
    }
    let built = configuration::completed(entry, &parameters).and_then(|parameters| {
        let model = (entry.build)(parameters.clone(), &data_shape(splits))?;
        Ok((parameters, model))
    });
    match built {
        Ok((parameters, model)) => Some((entry, Named { name, parameters }, model)),
        Err(error) => {
            found.push(Diagnostic::at(place, format!("model `{name}`: {error}")));
            None
        }
    }
}

fn data_shape(splits: &Splits) -> DataShape {
    let parts = [Some(splits.train()), Some(splits.query()), splits.tuning_query()];
    DataShape::of(parts.into_iter().flatten())
}

/// Parameters at which the run begins.
fn base_parameters(
    base: &Base,
    entry: &ModelEntry,
    model: &dyn AnyModel,
) -> Result<Vec<f64>, ParameterError> {
    let refused = |reason: String| {
        let hint = "a run leaves its parameters as `model.safetensors` in its folder";
        ParameterError::Range(format!("`base.weights`: {reason}\nhint: {hint}"))
    };
    let layout = <dyn AnyModel as Model<f64>>::layout(model);
    let names = Names { given: &base.parameters, known: entry.elsewhere.names };
    let found = match &base.weights {
        Weights::File(path) => parameters::load(path, layout, names),
        Weights::Embedded { embedded } => {
            let file = embedded_weights(embedded).ok_or_else(|| {
                refused(format!("unknown embedded weights `{embedded}` (known: textgenrnn)"))
            })?;
            parameters::load_embedded(file, layout, names)
        }
    };
    found.map(|(theta, _)| theta).map_err(|error| refused(error.to_string()))
}

/// What a model takes the features of a data set for.
fn input_of(dataset: &Dataset) -> ModelInput {
    match dataset.targets() {
        Targets::Tokens { .. } => ModelInput::Tokens,
        Targets::Classes { .. } | Targets::Values(_) => ModelInput::Numbers,
    }
}

fn check_numbers(spec: &Spec, found: &mut Vec<Diagnostic>) {
    let training = &spec.training.value;
    let mut require = |holds: bool, message: String| {
        if !holds {
            found.push(Diagnostic::at(&spec.training, message));
        }
    };
    require(training.epochs > 0, "`epochs` is 0\nhint: train for at least one epoch".into());
    require(training.batch_size > 0, "`batch-size` is 0".into());
    require(
        training.learning_rate > 0.0 && training.learning_rate.is_finite(),
        format!("`learning-rate` is {}\nhint: use a positive number", training.learning_rate),
    );
    if let Err(message) = training.optimiser.check() {
        require(false, format!("`optimizer`: {message}"));
    }
    if let Some(longest) = training.clip_norm {
        require(
            longest > 0.0 && longest.is_finite(),
            format!("`clip-norm` is {longest}\nhint: use a positive number, or leave it out"),
        );
    }
    if let Schedule::WarmupCosine { warmup } = training.schedule {
        require(
            (1..training.epochs).contains(&warmup),
            format!(
                "`schedule` warms up for {warmup} of {} epochs\nhint: warm up for at least one \
                 epoch, and leave one",
                training.epochs
            ),
        );
    }
    if let Schedule::Step { every, factor } = training.schedule {
        require(
            every > 0 && factor > 0.0,
            format!(
                "`schedule` changes by {factor} every {every} epochs\nhint: use positive numbers"
            ),
        );
    }
    check_given(spec, found);
    if spec.replay_states == (Keeping::Binomial { states: 0 }) {
        let message = "`replay-states: binomial` keeps 0 states";
        found.push(Diagnostic::at(&spec.training, message).hint("keep at least one"));
    }
    check_truths(spec, found);
    let name = &spec.name.value;
    let usable = |character: char| character.is_ascii_alphanumeric() || "-_.".contains(character);
    if name.is_empty() || name.starts_with('.') || !name.chars().all(usable) {
        let message = format!("`name` is {name:?} and would name a folder");
        found.push(Diagnostic::at(&spec.name, message).hint("use letters, digits, `-`, `_`, `.`"));
    }
    if spec.draws < 100 {
        let message = format!("`draws` is {}", spec.draws);
        found.push(Diagnostic::at(&spec.name, message).hint("use at least 100 bootstrap draws"));
    }
}

/// An order that is given leaves nothing for further seeds or rounds to draw, and names examples
/// that an attack on the data would change, as rounds do.
fn check_given(spec: &Spec, found: &mut Vec<Diagnostic>) {
    let training = &spec.training.value;
    if let (Some(_), Some(asked)) = (&training.rounds, &spec.closed_loop) {
        let message = "`rounds` lists whose examples come when, which an attack changes";
        found.push(Diagnostic::at(asked, message).hint("leave out `closed-loop` or `rounds`"));
    }
    if training.given.order.is_none() {
        return;
    }
    if training.rounds.is_some() {
        let message = "`given: order` says which batch comes when, and so does `rounds`";
        found.push(Diagnostic::at(&spec.training, message).hint("leave out one of them"));
    }
    let truths = &spec.truths.value;
    let removals = [truths.leave_one_out, truths.leave_contributor_out].into_iter().flatten();
    let seeds = removals
        .map(|removals| removals.seeds)
        .chain(truths.subsets.map(|subsets| subsets.seeds))
        .chain(truths.game.map(|game| game.seeds));
    if seeds.max().unwrap_or(1) > 1 {
        let message = "`given: order` is the order of one seed, and truths ask for several";
        found.push(Diagnostic::at(&spec.truths, message).hint("write `seeds: 1`"));
    }
    if let Some(asked) = &spec.closed_loop {
        let message = "`given: order` names examples that an attack changes";
        found.push(Diagnostic::at(asked, message).hint("leave out `closed-loop` or `order`"));
    }
}

fn check_truths(spec: &Spec, found: &mut Vec<Diagnostic>) {
    let truths = &spec.truths.value;
    if let Some(subsets) = truths.subsets {
        if !(subsets.fraction > 0.0 && subsets.fraction < 1.0) {
            let message = format!("`fraction` is {}", subsets.fraction);
            found.push(Diagnostic::at(&spec.truths, message).hint("use a number between 0 and 1"));
        }
        if subsets.subsets < 4 || subsets.seeds == 0 {
            let message = format!("{} subsets with {} seeds", subsets.subsets, subsets.seeds);
            let hint = "use at least 4 subsets (100 for usable intervals) and 1 seed";
            found.push(Diagnostic::at(&spec.truths, message).hint(hint));
        }
    }
    for removals in [truths.leave_one_out, truths.leave_contributor_out].into_iter().flatten() {
        if removals.seeds == 0 || removals.count.is_some_and(|count| count < 3) {
            let hint = "remove at least 3, with at least 1 seed, or a correlation means nothing";
            found.push(Diagnostic::at(&spec.truths, "too few removals").hint(hint));
        }
    }
}

fn check_money(
    spec: &Spec,
    methods: &[PlannedMethod],
    registries: &Registries<'_>,
    found: &mut Vec<Diagnostic>,
) {
    let Some(money) = &spec.money else { return };
    let rules = registries.treasury.rules();
    if !rules.iter().any(|rule| rule.name == money.value.rule) {
        let name = Spanned::new(&money.value.rule, money.referenced, money.defined);
        found.push(Diagnostic::unknown("payout rule", &name, rules.iter().map(|rule| rule.name)));
    }
    if money.value.tokens == 0 || money.value.tokens > MOST_TOKENS {
        let message = format!("`tokens` is {}", money.value.tokens);
        found.push(Diagnostic::at(money, message).hint("use 1 to 9,007,199,254,740,992 units"));
    }
    let reference = &money.value.reference;
    let removal_truth = spec.truths.value.leave_contributor_out;
    let method = methods.iter().find(|method| method.label == *reference);
    let every_contributor =
        reference == "leave-contributor-out" && removal_truth.is_some_and(|r| r.count.is_none());
    let is_game = reference == "game" && spec.game.is_some();
    if method.is_some_and(|method| method.method().info().scale == Scale::Arbitrary) {
        let message = format!("`reference: {reference}` has scores of arbitrary scale");
        found.push(Diagnostic::at(money, message).hint("name a method with a unit, or a truth"));
    } else if method.is_none() && !every_contributor && !is_game {
        let name = Spanned::new(reference, money.referenced, money.defined);
        let known = methods.iter().map(|method| method.label.as_str());
        let known = known.chain(["game", "leave-contributor-out"]);
        found.push(Diagnostic::unknown("reference", &name, known).hint(
            "name a method of this experiment, or measure `game` or `leave-contributor-out` fully",
        ));
    }
}

fn check_closed_loop(spec: &Spec, registries: &Registries<'_>, found: &mut Vec<Diagnostic>) {
    let Some(asked) = &spec.closed_loop else { return };
    let rules = registries.treasury.rules();
    for rule in &asked.value.rules {
        // Parameters may follow the name, as the treasury understands them.
        let name = rule.split_whitespace().next().unwrap_or_default();
        if !rules.iter().any(|known| known.name == name) {
            let name = Spanned::new(name, asked.referenced, asked.defined);
            let known = rules.iter().map(|rule| rule.name);
            found.push(Diagnostic::unknown("payout rule", &name, known));
        }
    }
    let value = &asked.value;
    if value.rules.is_empty() || value.attacks.is_empty() || value.seeds == 0 {
        let message = "a closed loop needs rules, attacks and at least one seed";
        found.push(Diagnostic::at(asked, message).hint("write `rules: [net-then-clip]`"));
    }
    if spec.truths.value.leave_contributor_out.is_none_or(|removals| removals.count.is_some()) {
        let message = "a closed loop needs to know what leaving each contributor out does";
        found.push(Diagnostic::at(asked, message).hint("add `leave-contributor-out: {}`"));
    }
}

fn check_data(spec: &Spec, splits: &Splits, found: &mut Vec<Diagnostic>) {
    let train = splits.train();
    if spec.training.value.batch_size > train.len() {
        let message = format!(
            "`batch-size` is {} but there are {} training examples",
            spec.training.value.batch_size,
            train.len()
        );
        found.push(Diagnostic::at(&spec.training, message));
    }
    if let Some(subsets) = spec.truths.value.subsets {
        let size = truths::subset_size(&subsets, train.len());
        if size == 0 || size == train.len() {
            let message = format!(
                "`fraction: {}` of {} training examples keeps {size}",
                subsets.fraction,
                train.len()
            );
            let hint = "keep at least one example and leave out at least one";
            found.push(Diagnostic::at(&spec.truths, message).hint(hint));
        }
    }
    let is_regression = matches!(train.targets(), Targets::Values(_));
    if is_regression && spec.utility == Utility::Margin {
        let message = "`utility: margin` needs classes, and the target is a number";
        found.push(Diagnostic::at(&spec.data, message).hint("use `utility: negative-loss`"));
    }
    let needs_people = spec.truths.value.leave_contributor_out.is_some() || spec.money.is_some();
    if needs_people && train.contributors().len() < 3 {
        let message = format!(
            "contributors are removed or paid, but there are only {}",
            train.contributors().len()
        );
        found.push(
            Diagnostic::at(&spec.data, message)
                .hint("set `ownership`, for instance `equal: {contributors: 10}`"),
        );
    }
}

/// Detection of flipped labels is measured with intervals, for which one of a kind is too few.
fn check_flips(spec: &Spec, prepared: &Prepared, found: &mut Vec<Diagnostic>) {
    let flipped = prepared.answer_key.flips().len();
    let clean = prepared.splits.train().len() - flipped;
    if flipped > 0 && (flipped < 2 || clean < 2) {
        let message = format!("{flipped} labels are flipped and {clean} are not");
        found.push(Diagnostic::at(&spec.data, message).hint("flip and leave at least two each"));
    }
}

/// Units that a report can still write without rounding: `2^53`, the last integer that an `f64` and
/// all below it represent.
const MOST_TOKENS: u64 = 1 << 53;

impl Plan {
    /// Checks conditions and predictions on the rows of a record, as far as it has them.
    pub fn judge(&self, record: &mut Record) {
        let judged = |asked: &[Condition]| -> Vec<Verdict> {
            asked.iter().map(|condition| condition.check(&record.rows)).collect()
        };
        (record.verdicts, record.predicted) = (judged(&self.conditions), judged(&self.predictions));
    }

    /// Key of code, data, model and recipe: all that a training depends on but its seed and
    /// weights.
    pub fn recipe_key(&self) -> Key {
        let mut content = Vec::new();
        for set in [Some(&self.train), Some(&self.queries), self.tuning_queries.as_ref()] {
            content.extend(dataset_bytes(set));
        }
        let data = Key::of_content(&content);
        let spec = &self.spec;
        let recipe = (&spec.model.value, &spec.training.value, spec.precision, spec.utility);
        // A base is known by the parameters that it gives, wherever they lie.
        let base = spec.base.as_ref().map(|base| (base.value.adapters, self.beginning()));
        Key::of("recipe", &(recipe, base), &[&data, &self.code, &spec.training.value.order_key()])
    }

    /// Key of the parameters at which a run with a base begins; those of adapters are told by the
    /// outputs that they have.
    fn beginning(&self) -> Key {
        let model: &dyn Model<f64> = <f64 as FitReal>::model(self.model.as_ref());
        let theta = model.initial_parameters(self.spec.seed);
        let features = self.train.features().mapv(f64::from);
        let first = features.slice(ndarray::s![..1, ..]);
        let outputs = model.outputs(&theta, first);
        let numbers = theta.iter().chain(&outputs);
        Key::of_content(&numbers.flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>())
    }

    /// What each query is, as a key of its content.
    pub fn query_contents(&self) -> impl Iterator<Item = Key> + '_ {
        (0..self.queries.len()).map(|row| Key::of_content(&example_bytes(&self.queries, row)))
    }

    /// Queries, and after them those for calibration.
    pub fn all_queries<T: FitReal>(&self) -> Examples<T> {
        let queries = Examples::from_dataset(&self.queries);
        match &self.tuning_queries {
            Some(tuning) => queries.followed_by(&Examples::from_dataset(tuning)),
            None => queries,
        }
    }
}

/// Content of a data set as bytes, for its key.
fn dataset_bytes(dataset: Option<&Dataset>) -> Vec<u8> {
    let Some(dataset) = dataset else { return b"none".to_vec() };
    let mut bytes = Vec::new();
    bytes.extend(dataset.features().nrows().to_le_bytes());
    for row in 0..dataset.len() {
        bytes.extend(example_bytes(dataset, row));
    }
    match dataset.targets() {
        Targets::Classes { names, .. } => bytes.extend(names.len().to_le_bytes()),
        Targets::Values(_) => {}
        Targets::Tokens { vocabulary, .. } => bytes.extend(vocabulary.to_le_bytes()),
    }
    bytes.extend(dataset.ids().iter().flat_map(|id| id.0.to_le_bytes()));
    bytes
}

/// Features and target of one example.
fn example_bytes(dataset: &Dataset, row: usize) -> Vec<u8> {
    let features = dataset.features();
    let mut bytes: Vec<u8> =
        features.row(row).iter().flat_map(|value| value.to_le_bytes()).collect();
    match dataset.targets() {
        Targets::Classes { labels, .. } => bytes.extend(labels[row].to_le_bytes()),
        Targets::Values(values) => bytes.extend(values[row].to_le_bytes()),
        Targets::Tokens { tokens, .. } => {
            let targets = tokens.targets();
            bytes.extend(targets.row(row).iter().flat_map(|token| token.to_le_bytes()));
            // The weight of a token says whether losses are summed or averaged.
            bytes.extend(tokens.scale(row).to_le_bytes());
        }
    }
    bytes
}
