//! `attribench log`: keys, receipts, verification, audits and comparisons.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use attribench_provenance::{
    Digest, LogReader, TreeReader, VerifyingKey,
    croissant::{self, Card, Share},
    key, log,
    receipt::{LONGEST_RECEIPT, Receipt},
    recorder::amend,
    records::{Correction, Count, Deletion, Item, Kind, Record, from_bytes},
    statement,
    tree::TreeHead,
    verify::{self, Comparison, Signed, Verified},
};
use clap::{Args, Subcommand, ValueEnum};

use super::{Document, plan, print, registries};
use crate::{
    Ending,
    provenance::{
        audit::{self, Draws},
        record::{self, Origins},
    },
    treasury::LedgerTreasury,
};

/// Arguments of `attribench log`.
#[derive(Args)]
#[command(after_help = "\
Examples:
  attribench log keygen lab.example/runs --out keys/lab
  attribench run smoke --log --key keys/lab.key
  attribench log verify runs/smoke --trust keys/lab.pub
  attribench log receipt --run runs/smoke --contributor contributor-3 --method path-ledger \\
      --out mine.receipt
  attribench log verify mine.receipt --trust keys/lab.pub
  attribench log audit runs/smoke --trust keys/lab.pub --steps 20
  attribench log diff kept/checkpoint runs/smoke
  attribench log statements runs/smoke --trust keys/lab.pub --key keys/lab.key --out statements

What a log proves: what was recorded, in which order, and who signed it. Not that the record is
true or complete, and not that nothing else was trained.")]
pub struct LogArguments {
    #[command(subcommand)]
    command: LogCommand,
}

#[derive(Subcommand)]
enum LogCommand {
    /// Make a key: a secret file for the owner alone, and a public one for everybody.
    Keygen(KeygenArguments),
    /// Write what a contributor's data did and were paid, with its proof, as one text file.
    Receipt(ReceiptArguments),
    /// Check a receipt, or the log of a run, offline and with the public key alone.
    Verify(VerifyArguments),
    /// Take randomly drawn steps again, score and settle again, and name the first entry that is
    /// wrong.
    Audit(AuditArguments),
    /// Prove that one log extends another, or name the first entry at which they part.
    Diff(DiffArguments),
    /// Write in-toto statements about training, attributions and payouts, for other tools.
    Statements(StatementsArguments),
    /// Write contributors and licences of the run's data as a Croissant description.
    Croissant(CroissantArguments),
    /// Add a later word on an earlier entry: nothing is ever taken away.
    Amend(AmendArguments),
}

#[derive(Args)]
struct KeygenArguments {
    /// Name of the key, for instance a domain and a purpose.
    name: String,
    /// Files to be written, without `.key` and `.pub`.
    #[arg(long, value_name = "PATH")]
    out: PathBuf,
}

#[derive(Args)]
struct ReceiptArguments {
    /// Folder of a run.
    #[arg(long, value_name = "FOLDER")]
    run: PathBuf,
    /// Name of the contributor.
    #[arg(long)]
    contributor: String,
    /// Method that paid; may be left out where one did.
    #[arg(long)]
    method: Option<String>,
    /// File to be written; standard output where absent.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Args)]
struct Trust {
    /// File of public keys that are trusted, one a line.
    #[arg(long, value_name = "FILE")]
    trust: Option<PathBuf>,
}

#[derive(Args)]
struct VerifyArguments {
    /// A receipt, or the folder of a run.
    path: PathBuf,
    #[command(flatten)]
    trust: Trust,
}

#[derive(Args)]
struct AuditArguments {
    /// Folder of a run.
    run: PathBuf,
    /// Steps to be drawn.
    #[arg(long, default_value_t = 20)]
    steps: usize,
    /// Attributions to be drawn, whose scores are computed again for all queries; all where absent.
    #[arg(long)]
    scores: Option<usize>,
    /// Croissant description that the run was given: licence and date of each contributor.
    #[arg(long, value_name = "FILE")]
    croissant: Option<PathBuf>,
    /// What the draw depends on, to repeat one; fresh randomness where absent.
    #[arg(long)]
    lot: Option<String>,
    #[command(flatten)]
    trust: Trust,
}

#[derive(Args)]
struct DiffArguments {
    /// Folder of a run, or a checkpoint that somebody kept.
    old: PathBuf,
    /// Folder of a run.
    new: PathBuf,
    #[command(flatten)]
    trust: Trust,
}

#[derive(Args)]
struct StatementsArguments {
    /// Folder of a run.
    run: PathBuf,
    /// Folder to be written.
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    /// Secret key: each statement is put into an envelope that it signs.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    #[command(flatten)]
    trust: Trust,
}

#[derive(Args)]
struct CroissantArguments {
    /// Folder of a run.
    run: PathBuf,
    #[command(flatten)]
    trust: Trust,
}

#[derive(Clone, Copy, ValueEnum)]
enum Word {
    /// An entry of the log is wrong.
    Correction,
    /// An example must not be used any more.
    Deletion,
}

#[derive(Args)]
struct AmendArguments {
    /// Folder of a run.
    run: PathBuf,
    /// Which word.
    #[arg(long = "as", value_name = "WORD")]
    word: Word,
    /// Position of the entry, or of the example in the manifest.
    #[arg(long)]
    entry: u64,
    /// Why.
    #[arg(long)]
    reason: String,
    /// Secret key of the log.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

/// Runs a subcommand.
pub fn log(arguments: &LogArguments) -> Result<Ending> {
    match &arguments.command {
        LogCommand::Keygen(arguments) => keygen(arguments),
        LogCommand::Receipt(arguments) => receipt(arguments),
        LogCommand::Verify(arguments) => verify_path(arguments),
        LogCommand::Audit(arguments) => audit_run(arguments),
        LogCommand::Diff(arguments) => diff(arguments),
        LogCommand::Statements(arguments) => write_statements(arguments),
        LogCommand::Croissant(arguments) => write_croissant(arguments),
        LogCommand::Amend(arguments) => amend_run(arguments),
    }
}

/// Folder of the log of a run.
pub fn folder_of(run: &Path) -> PathBuf {
    run.join("log")
}

fn keygen(arguments: &KeygenArguments) -> Result<Ending> {
    if let Some(folder) = arguments.out.parent() {
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    let (secret, public) = key::make(&arguments.name, &arguments.out)?;
    eprintln!("secret key, for `--key`: {}", secret.display());
    eprintln!("public key, for `--trust` and for everybody: {}", public.display());
    print(&fs::read_to_string(&public)?)?;
    Ok(Ending::Done)
}

fn receipt(arguments: &ReceiptArguments) -> Result<Ending> {
    let folder = folder_of(&arguments.run);
    let receipt = Receipt::of_run(&folder, &arguments.contributor, arguments.method.as_deref())?;
    match &arguments.out {
        Some(file) => {
            fs::write(file, receipt.to_text()).with_context(|| file.display().to_string())?;
            eprintln!("receipt: {}", file.display());
        }
        None => print(&receipt.to_text())?,
    }
    Ok(Ending::Done)
}

impl Trust {
    fn keys(&self) -> Result<Vec<VerifyingKey>> {
        Ok(self.trust.as_deref().map(key::read_trusted).transpose()?.unwrap_or_default())
    }
}

fn verify_path(arguments: &VerifyArguments) -> Result<Ending> {
    let trusted = arguments.trust.keys()?;
    if arguments.path.is_dir() {
        let found = verify::verify(&folder_of(&arguments.path), &trusted)?;
        print(&words_of_run(&found))?;
        return Ok(Ending::Done);
    }
    let length =
        fs::metadata(&arguments.path).with_context(|| arguments.path.display().to_string())?.len();
    if length > LONGEST_RECEIPT {
        bail!("{} is too long for a receipt: {length} bytes", arguments.path.display());
    }
    let text = fs::read_to_string(&arguments.path)?;
    let receipt = Receipt::parse(&text)?;
    let signed = receipt.verify(&trusted)?;
    let head = receipt.checkpoint().head();
    print(&format!(
        "the receipt of {} holds: every line of it follows from the head of {} entries\n{}\n",
        receipt.contributor(),
        head.size,
        words_of_signature(&signed)
    ))?;
    Ok(Ending::Done)
}

fn words_of_signature(signed: &Signed) -> String {
    match signed {
        Signed::By(names) => format!("signed by {}", names.join(", ")),
        Signed::ByNobody => {
            "UNSIGNED: it holds together, and anybody may have written it".to_owned()
        }
    }
}

fn words_of_run(found: &Verified) -> String {
    let begun = &found.commitment;
    let mut words = format!(
        "the log of run {} holds: {} entries, root {}\n{}\n",
        begun.run,
        found.head.size,
        found.head.root,
        words_of_signature(&found.signed)
    );
    words += &format!(
        "{} examples of {} contributors, {} of {} steps, {} attributions, {} settlements\n",
        begun.manifest_size.0,
        begun.contributors_size.0,
        found.steps,
        begun.steps.0,
        found.attributions.len(),
        found.settlements.len()
    );
    if found.later_words > 0 {
        words += &format!(
            "later words (corrections, deletions, contributions): {}\n",
            found.later_words
        );
    }
    if found.end.is_none() {
        words += "UNFINISHED: the log stops before the training ended\n";
    }
    if !found.sums_redone {
        words += "credits stand outside of the log and were not summed again\n";
    }
    if !found.totals_redone {
        words += "scores stand outside of the log and were not summed again\n";
    }
    words + "not shown by this: that the record is true or complete; see `attribench log audit`\n"
}

fn audit_run(arguments: &AuditArguments) -> Result<Ending> {
    let folder = folder_of(&arguments.run);
    let found = verify::verify(&folder, &arguments.trust.keys()?)?;
    let (facts, _) = attribench_reports::read_facts(&arguments.run)?;
    let commitment = &found.commitment;
    if record::configuration(&facts.specification) != commitment.configuration {
        bail!(
            "entry 0 is wrong: it commits to another specification than lies in {}",
            arguments.run.display()
        );
    }
    if commitment.code != record::code() {
        eprintln!(
            "note: made by other sources ({}) than this program's ({}); bits may differ",
            commitment.code,
            record::code()
        );
    }
    let path = arguments.run.join("run.json");
    let document = Document { path, text: facts.specification, changes: Vec::new() };
    let treasury = LedgerTreasury;
    let Some(plan) = plan(&document, &registries(&treasury)) else { return Ok(Ending::Refused) };
    let lot = arguments.lot.as_ref().map_or_else(Digest::random, |lot| Digest::of(lot.as_bytes()));
    let origins = Origins::of(arguments.croissant.as_deref(), &plan)?;
    let scores = arguments.scores.unwrap_or(usize::MAX);
    let draws = Draws { steps: arguments.steps, scores, lot };
    let audit = audit::audit(&folder, &plan, &origins, draws)?;
    if let Some((index, words)) = &audit.wrong {
        bail!("entry {index} is wrong: {words}");
    }
    let weights = arguments.run.join("model.safetensors");
    if let Some(end) = &found.end
        && !audit::holds_state(&weights, &plan, end.state)?
    {
        bail!(
            "{} is not the model that the training ended with\n\
             hint: the log names that model by its digest; take a copy from elsewhere",
            weights.display()
        );
    }
    print(&format!(
        "{} of {} steps were drawn, {} taken again: every entry of them is right\n\
         {} of {} attributions were computed again: every score of them is right, to the bit\n\
         {} settlements were made again by their rule, {} stand by scores outside of the log\n\
         {}\nnot shown by this: that factors of scores without a unit, and measured errors, are \
         right\n",
        audit.drawn,
        audit.steps,
        audit.replayed,
        audit.scored,
        audit.attributions,
        audit.settled,
        audit.unsettled,
        words_of_signature(&found.signed)
    ))?;
    Ok(Ending::Done)
}

/// An older head: of a run, or of a checkpoint alone.
fn older(path: &Path, trusted: &[VerifyingKey]) -> Result<(TreeHead, Option<TreeReader>)> {
    let is_run = path.is_dir();
    let (note, checkpoint) = if is_run {
        log::read_note(&folder_of(path).join(log::CHECKPOINT_FILE))?
    } else {
        log::read_note(path)?
    };
    if !trusted.is_empty() {
        note.verify(trusted)?;
    }
    let head = checkpoint.head();
    Ok((head, is_run.then(|| TreeReader::open(&folder_of(path), head.size))))
}

fn diff(arguments: &DiffArguments) -> Result<Ending> {
    let trusted = arguments.trust.keys()?;
    let (head, tree) = older(&arguments.old, &trusted)?;
    let new = LogReader::open(&folder_of(&arguments.new))?;
    if !trusted.is_empty() {
        new.note().verify(&trusted)?;
    }
    let size = new.checkpoint().head().size;
    match verify::compare(head, tree.as_ref(), &new)? {
        Comparison::Extends { path } => {
            let mut words =
                format!("the {size} entries begin with the {} signed before\n", head.size);
            for hash in &path {
                words += &format!("{}\n", hash.to_base64());
            }
            print(&words)?;
            Ok(Ending::Done)
        }
        Comparison::Truncated { old_size, new_size } => {
            bail!(
                "the newer log lacks the last {} of {old_size} signed entries\n\
                 hint: who kept the older one can show that they are gone",
                old_size - new_size
            )
        }
        Comparison::Forked { first: Some(first) } => {
            bail!(
                "the logs part at entry {first}: one origin, two histories\n\
                 hint: two runs of one experiment part where they began; else ask the signer"
            )
        }
        Comparison::Forked { first: None } => {
            bail!("the newer log does not begin with the {} entries signed before", head.size)
        }
    }
}

fn write_statements(arguments: &StatementsArguments) -> Result<Ending> {
    let found = verify::verify(&folder_of(&arguments.run), &arguments.trust.keys()?)?;
    let key = arguments.key.as_deref().map(key::read_secret).transpose()?;
    fs::create_dir_all(&arguments.out).with_context(|| arguments.out.display().to_string())?;
    for (name, statement) in statement::statements(&found) {
        let (kind, document) = match &key {
            Some(key) => ("dsse", statement::envelope(&statement, key)),
            None => ("intoto", statement),
        };
        let file = arguments.out.join(format!("{name}.{kind}.json"));
        let text = serde_json::to_string_pretty(&document)? + "\n";
        fs::write(&file, text).with_context(|| file.display().to_string())?;
        eprintln!("{}", file.display());
    }
    Ok(Ending::Done)
}

fn write_croissant(arguments: &CroissantArguments) -> Result<Ending> {
    let folder = folder_of(&arguments.run);
    let begun = verify::verify(&folder, &arguments.trust.keys()?)?.commitment;
    let mut shares: BTreeMap<String, Share> = BTreeMap::new();
    let mut licences = BTreeSet::new();
    let manifest = TreeReader::open(&folder.join("manifest"), begun.manifest_size.0);
    for entry in manifest.entries() {
        let item: Item = from_bytes(&entry?)?;
        licences.insert(item.licence.clone());
        let share = shares.entry(item.contributor.clone()).or_insert_with(|| Share {
            contributor: item.contributor,
            licence: item.licence,
            examples: 0,
            time: Some(item.time.0),
        });
        share.examples += 1;
    }
    let licence = licences.into_iter().collect::<Vec<_>>().join(" AND ");
    let card = Card { name: begun.run, licence, shares: shares.into_values().collect() };
    print(&(serde_json::to_string_pretty(&croissant::export(&card))? + "\n"))?;
    Ok(Ending::Done)
}

fn amend_run(arguments: &AmendArguments) -> Result<Ending> {
    let key = arguments.key.as_deref().map(key::read_secret).transpose()?;
    let (reason, time) = (arguments.reason.clone(), Count(record::now()));
    let place = Count(arguments.entry);
    let record: Record = match arguments.word {
        Word::Correction => Correction { entry: place, kind: Kind::default(), reason, time }.into(),
        Word::Deletion => Deletion { item: place, kind: Kind::default(), reason, time }.into(),
    };
    let note = amend(&folder_of(&arguments.run), key, &record)?;
    print(&note.to_string())?;
    Ok(Ending::Done)
}
