//! Parameters of a model under names, as other programs keep them.
//!
//! A dense layer `layerK` is `layerK.weight` `(out, in)` and `layerK.bias` `(out)`, which is how
//! PyTorch lays out a linear layer; a kernel of a convolution is `(out, in, height, width)` there
//! and `(out, in height width)` here, the same numbers in the same order. A vector is a `.bias`.
//! Several layers there may be one layer here, their weights one under the other. Which tensor is
//! which is told by the first of these that applies:
//!
//! 1. the map under `parameters:`, and equal names for what it leaves out;
//! 2. equal names;
//! 3. a table that the model brings for files of another program: then nothing may be left over;
//! 4. the order: names that agree but for `.weight` or `.bias` are one layer, layers are taken in
//!    the order of their names with numbers compared as numbers.
//!
//! Every size must agree.

use std::{collections::BTreeMap, ops::Range, path::Path};

use attribench_core::{Layout, ParameterNames, Real};
use attribench_datasets::{EmbeddedFile, npz::Archive};
use safetensors::{SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};

use super::{FileError, gguf, scores::floats};

/// A named tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Name.
    pub name: String,
    /// Shape.
    pub shape: Vec<usize>,
    /// Numbers, the last axis running fastest.
    pub values: Vec<f64>,
}

/// Names in a file of what is one parameter here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "a name in the file of weights, or a list of names")]
pub enum InFile {
    /// One tensor.
    One(String),
    /// Tensors that stand one under the other here.
    Several(Vec<String>),
}

impl InFile {
    fn names(&self) -> &[String] {
        match self {
            Self::One(name) => std::slice::from_ref(name),
            Self::Several(names) => names,
        }
    }
}

/// Which tensor of a file is which parameter.
#[derive(Clone, Copy, Debug)]
pub struct Names<'a> {
    /// Names in the file, by the names here.
    pub given: &'a BTreeMap<String, InFile>,
    /// Tables of the model for files of other programs.
    pub known: &'a [ParameterNames],
}

impl Names<'_> {
    /// The names here.
    pub const OWN: Names<'static> = Names { given: &BTreeMap::new(), known: &[] };
}

/// Where a named tensor lies in the flat vector.
struct Slot {
    name: String,
    shape: Vec<usize>,
    range: Range<usize>,
    /// Rows of each tensor that may stand in its place; empty where it is always one.
    parts: Vec<usize>,
}

fn slots(layout: &Layout) -> Vec<Slot> {
    let mut slots = Vec::new();
    for block in layout.blocks() {
        let layer = &layout.layers()[block.layers[0]];
        let (rows, columns) = layer.weight_shape();
        if rows * columns > 0 {
            let range = layer.weight_offset..layer.bias_offset;
            let name = format!("{}.weight", layer.name);
            let parts = layer.parts.clone();
            slots.push(Slot { name, shape: vec![rows, columns], range, parts });
        }
        if layer.has_bias() {
            let name = format!("{}.bias", layer.name);
            let (shape, range) = (vec![layer.outputs], layer.biases());
            slots.push(Slot { name, shape, range, parts: Vec::new() });
        }
    }
    slots
}

/// Parameters by layer; those of tied layers under the name of the first.
pub fn export<T: Real>(layout: &Layout, theta: &[T]) -> Vec<Tensor> {
    let tensor = |slot: Slot| Tensor {
        values: theta[slot.range].iter().map(|value| value.to_f64()).collect(),
        name: slot.name,
        shape: slot.shape,
    };
    slots(layout).into_iter().map(tensor).collect()
}

/// The flat vector of a model from a file, and for each of its parameters the name there.
///
/// # Errors
/// When the file is none of `.safetensors`, `.gguf` and `.npz`, is damaged, holds other numbers
/// than floats, or does not fit the model.
pub fn load<T: Real>(
    path: &Path,
    layout: &Layout,
    names: Names<'_>,
) -> Result<(Vec<T>, BTreeMap<String, InFile>), FileError> {
    let file = path.display().to_string();
    import(layout, &read(path)?, names).map_err(|reason| FileError::Content { file, reason })
}

/// As [`load`], from weights that are part of the program.
///
/// # Errors
/// When the weights do not fit the model.
pub fn load_embedded<T: Real>(
    weights: &EmbeddedFile,
    layout: &Layout,
    names: Names<'_>,
) -> Result<(Vec<T>, BTreeMap<String, InFile>), FileError> {
    let file = weights.name.to_owned();
    let tensors = safetensors(&file, weights.read()?)?;
    import(layout, &tensors, names).map_err(|reason| FileError::Content { file, reason })
}

fn read(path: &Path) -> Result<Vec<Tensor>, FileError> {
    let file = path.display().to_string();
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("npz") => {
            let mut archive = Archive::open(path)?;
            let names = archive.names().to_vec();
            let tensor = |name: String| {
                let array = archive.array(&name)?;
                let shape = array.shape().to_vec();
                Ok(Tensor { name, shape, values: array.iter().copied().collect() })
            };
            names.into_iter().map(tensor).collect()
        }
        Some("safetensors") => {
            let bytes = std::fs::read(path).map_err(|error| {
                let (file, reason) = (file.clone(), error.to_string());
                FileError::Content { file, reason }
            })?;
            safetensors(&file, &bytes)
        }
        Some("gguf") => gguf::tensors(path),
        _ => {
            Err(FileError::Kind { file, hint: "weights are read from .safetensors, .gguf or .npz" })
        }
    }
}

fn safetensors(file: &str, bytes: &[u8]) -> Result<Vec<Tensor>, FileError> {
    let refuse = |reason: String| FileError::Content { file: file.to_owned(), reason };
    let tensors = SafeTensors::deserialize(bytes)
        .map_err(|error| refuse(format!("{error}\nhint: is it whole?")))?;
    let tensor = |(name, view): (String, TensorView<'_>)| {
        let values = floats(&view).ok_or_else(|| {
            let kind = view.dtype();
            refuse(format!("`{name}` is {kind:?}\nhint: store F64, F32, F16 or BF16"))
        })?;
        Ok(Tensor { name, shape: view.shape().to_vec(), values })
    };
    tensors.tensors().into_iter().map(tensor).collect()
}

/// As [`load`], from tensors. A tensor that is missing, left over, of another size or not finite is
/// refused with both sides.
fn import<T: Real>(
    layout: &Layout,
    tensors: &[Tensor],
    names: Names<'_>,
) -> Result<(Vec<T>, BTreeMap<String, InFile>), String> {
    let slots = slots(layout);
    let sides = || {
        let ours = slots.iter().map(|slot| format!("{} {:?}", slot.name, slot.shape));
        let theirs = tensors.iter().map(|tensor| format!("{} {:?}", tensor.name, tensor.shape));
        format!("the model has {}; the file has {}", listed(ours), listed(theirs))
    };
    let found = found(&slots, tensors, names).map_err(|what| {
        format!("{what}: {}\nhint: say under `parameters:` which is which", sides())
    })?;
    let mut theta = vec![T::zero(); layout.parameters()];
    for (slot, tensors) in slots.iter().zip(&found) {
        fits(slot, tensors).map_err(|what| format!("{what}: {}", sides()))?;
        let values = tensors.iter().flat_map(|tensor| &tensor.values);
        for (to, &value) in theta[slot.range.clone()].iter_mut().zip(values) {
            *to = T::from_f64(value);
        }
    }
    let in_file = |tensors: &Vec<&Tensor>| match tensors[..] {
        [tensor] => InFile::One(tensor.name.clone()),
        _ => InFile::Several(tensors.iter().map(|tensor| tensor.name.clone()).collect()),
    };
    let mapped = slots.iter().zip(&found);
    Ok((theta, mapped.map(|(slot, tensors)| (slot.name.clone(), in_file(tensors))).collect()))
}

/// The first of many, and how many more there are.
fn listed(items: impl ExactSizeIterator<Item = String>) -> String {
    const SHOWN: usize = 12;
    let rest = items.len().saturating_sub(SHOWN);
    let shown = items.take(SHOWN).collect::<Vec<_>>().join(", ");
    if rest == 0 { shown } else { format!("{shown} and {rest} more") }
}

/// Refuses tensors of another size than the slot, or that hold what is no number.
fn fits(slot: &Slot, tensors: &[&Tensor]) -> Result<(), String> {
    let (whole, columns) = ([slot.shape[0]], slot.range.len() / slot.shape[0].max(1));
    let parts = if tensors.len() == 1 { &whole[..] } else { &slot.parts };
    if parts.len() != tensors.len() {
        let (name, several) = (&slot.name, tensors.len());
        let made = match parts {
            [] => "is one".to_owned(),
            parts => format!("has parts of {parts:?} rows"),
        };
        return Err(format!("{several} tensors cannot make `{name}`, which {made}"));
    }
    for (tensor, &rows) in tensors.iter().zip(parts) {
        let fits = tensor.values.len() == rows * columns
            && (tensor.shape.len() < 2 || tensor.shape[0] == rows);
        if !fits {
            let theirs = format!("`{}` is {:?}", tensor.name, tensor.shape);
            let shape: Vec<usize> =
                std::iter::once(rows).chain(slot.shape[1..].iter().copied()).collect();
            return Err(format!("{theirs}, and `{}` needs {shape:?}", slot.name));
        }
        if let Some(value) = tensor.values.iter().find(|value| !value.is_finite()) {
            return Err(format!("`{}` holds {value}", tensor.name));
        }
    }
    Ok(())
}

/// The tensors of each slot.
fn found<'a>(
    slots: &[Slot],
    tensors: &'a [Tensor],
    names: Names<'_>,
) -> Result<Vec<Vec<&'a Tensor>>, String> {
    let find = |name: &str| tensors.iter().find(|tensor| tensor.name == name);
    let all = |slot: &Slot, names: &[String]| -> Result<Vec<&'a Tensor>, String> {
        let one = |name: &String| {
            find(name).ok_or_else(|| format!("there is no `{name}`, which is `{}`", slot.name))
        };
        names.iter().map(one).collect()
    };
    let given = names.given;
    if let Some(unknown) = given.keys().find(|name| !slots.iter().any(|slot| slot.name == **name)) {
        return Err(format!("`parameters` names `{unknown}`, which the model does not have"));
    }
    if !given.is_empty() || slots.iter().all(|slot| find(&slot.name).is_some()) {
        let own = |slot: &Slot| match given.get(&slot.name) {
            Some(names) => all(slot, names.names()),
            None => all(slot, std::slice::from_ref(&slot.name)),
        };
        return slots.iter().map(own).collect();
    }
    for table in names.known {
        let theirs: Vec<Vec<String>> = slots.iter().map(|slot| by_table(table, slot)).collect();
        if theirs.iter().flatten().any(|name| find(name).is_some()) {
            let found = slots.iter().zip(&theirs).map(|(slot, names)| all(slot, names));
            let found = found.collect::<Result<Vec<_>, _>>()?;
            let used = |tensor: &&Tensor| theirs.iter().flatten().any(|name| *name == tensor.name);
            return match tensors.iter().find(|tensor| !used(tensor)) {
                Some(left) => Err(format!("`{}` has no place in the model", left.name)),
                None => Ok(found),
            };
        }
    }
    if tensors.len() != slots.len() {
        return Err(format!("{} tensors do not fit {}", tensors.len(), slots.len()));
    }
    let mut ordered: Vec<&Tensor> = tensors.iter().collect();
    ordered.sort_by_cached_key(|tensor| order(&tensor.name));
    Ok(ordered.into_iter().map(|tensor| vec![tensor]).collect())
}

/// Names in the file that a table gives for a slot; its own where the table has none.
fn by_table(table: ParameterNames, slot: &Slot) -> Vec<String> {
    let number = |pattern: &str| -> Option<String> {
        let Some((before, after)) = pattern.split_once('#') else {
            return (pattern == slot.name).then(String::new);
        };
        let number = slot.name.strip_prefix(before)?.strip_suffix(after)?;
        number.bytes().all(|byte| byte.is_ascii_digit()).then(|| number.to_owned())
    };
    let found = table.iter().find_map(|(ours, theirs)| Some((number(ours)?, theirs)));
    match found {
        Some((number, theirs)) => theirs.iter().map(|name| name.replace('#', &number)).collect(),
        None => vec![slot.name.clone()],
    }
}

/// Layer by layer with numbers as numbers, and the weight before the bias.
fn order(name: &str) -> (Vec<(String, u64)>, bool) {
    let (layer, part) = name.rsplit_once('.').unwrap_or((name, ""));
    let parts = layer.split('.').map(|part| {
        let digits = part.len() - part.trim_end_matches(|c: char| c.is_ascii_digit()).len();
        let (word, number) = part.split_at(part.len() - digits);
        (word.to_owned(), number.parse().unwrap_or(0))
    });
    (parts.collect(), part == "bias")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use attribench_core::{Layer, Layout, ParameterNames};

    use super::{InFile, Names, Tensor, export, import};

    /// Nothing but names that are equal, and order.
    fn alone(given: &BTreeMap<String, InFile>) -> Names<'_> {
        Names { given, known: &[] }
    }

    fn layout() -> Layout {
        Layout::dense(&[(3, 2), (2, 2)])
    }

    fn tensor(name: &str, shape: &[usize], first: f64) -> Tensor {
        let length: usize = shape.iter().product();
        let values = (0..length).map(|index| first + index as f64).collect();
        Tensor { name: name.into(), shape: shape.to_vec(), values }
    }

    fn theirs() -> Vec<Tensor> {
        vec![
            tensor("net.10.bias", &[2], 40.0),
            tensor("net.10.weight", &[2, 2], 30.0),
            tensor("net.2.bias", &[2], 20.0),
            tensor("net.2.weight", &[2, 3], 10.0),
        ]
    }

    const FLAT: [f64; 14] = [10., 11., 12., 13., 14., 15., 20., 21., 30., 31., 32., 33., 40., 41.];

    #[test]
    fn layers_of_a_sequence_come_in_the_order_of_their_numbers() {
        let (theta, mapped) = import::<f64>(&layout(), &theirs(), alone(&BTreeMap::new())).unwrap();
        assert_eq!(theta, FLAT);
        assert_eq!(mapped["layer1.weight"], InFile::One("net.10.weight".into()));
    }

    #[test]
    fn what_was_exported_comes_back() {
        let exported = export(&layout(), &FLAT);
        assert_eq!(exported[0], tensor("layer0.weight", &[2, 3], 10.0));
        let (theta, _) = import::<f64>(&layout(), &exported, alone(&BTreeMap::new())).unwrap();
        assert_eq!(theta, FLAT);
    }

    #[test]
    fn a_map_goes_before_every_order() {
        let names: BTreeMap<String, InFile> = [
            ("layer0.weight", "net.2.weight"),
            ("layer0.bias", "net.10.bias"),
            ("layer1.weight", "net.10.weight"),
            ("layer1.bias", "net.2.bias"),
        ]
        .map(|(ours, theirs)| (ours.to_owned(), InFile::One(theirs.to_owned())))
        .into();
        let (theta, _) = import::<f64>(&layout(), &theirs(), alone(&names)).unwrap();
        assert_eq!(theta[6..8], [40.0, 41.0]);
        assert_eq!(theta[12..], [20.0, 21.0]);
    }

    #[test]
    fn what_does_not_fit_is_refused_with_both_sides() {
        let refused = |tensors: &[Tensor], names: &[(&str, &str)]| {
            let in_file = |name: &str| InFile::One(name.to_owned());
            let names = names.iter().map(|(a, b)| (a.to_string(), in_file(b))).collect();
            import::<f32>(&layout(), tensors, alone(&names)).unwrap_err()
        };
        let few = refused(&theirs()[..3], &[]);
        assert!(
            few.contains("3 tensors do not fit 4: the model has layer0.weight [2, 3]"),
            "{few}"
        );
        let mut transposed = theirs();
        transposed[3].shape = vec![3, 2];
        assert!(
            refused(&transposed, &[]).contains("`net.2.weight` is [3, 2], and `layer0.weight`")
        );
        assert!(refused(&theirs(), &[("layer7.bias", "x")]).contains("`layer7.bias`"));
        assert!(
            refused(&theirs(), &[("layer0.bias", "x")]).contains("there is no `layer0.weight`")
        );
        let mut infinite = theirs();
        infinite[0].values[1] = f64::INFINITY;
        assert!(refused(&infinite, &[]).contains("`net.10.bias` holds inf"));
    }

    /// A layer of two parts, of 2 and 1 outputs, and a vector, as another program names them.
    fn merged() -> Layout {
        let mut layout = Layout::default();
        layout.push(Layer::dense_without_bias("block3.mix", 2, 3).in_parts(&[2, 1]));
        layout.push(Layer::vector("norm", 2));
        layout
    }

    const THEIRS: ParameterNames =
        &[("block#.mix.weight", &["h.#.up", "h.#.down"]), ("norm.bias", &["ln"])];

    fn parts() -> Vec<Tensor> {
        vec![
            tensor("h.3.down", &[1, 2], 20.0),
            tensor("h.3.up", &[2, 2], 10.0),
            tensor("ln", &[2], 1.0),
        ]
    }

    #[test]
    fn several_tensors_make_one_layer_by_a_table_or_by_a_map() {
        let none = BTreeMap::new();
        let by_table = Names { given: &none, known: &[&[("x", &["y"])], THEIRS] };
        let (theta, mapped) = import::<f64>(&merged(), &parts(), by_table).unwrap();
        assert_eq!(theta, [10., 11., 12., 13., 20., 21., 1., 2.]);
        let several = InFile::Several(vec!["h.3.up".into(), "h.3.down".into()]);
        assert_eq!(mapped["block3.mix.weight"], several);
        assert_eq!(import::<f64>(&merged(), &parts(), alone(&mapped)).unwrap(), (theta, mapped));
    }

    #[test]
    fn a_table_wants_every_tensor_and_no_other() {
        let none = BTreeMap::new();
        let refused = |tensors: &[Tensor]| {
            let names = Names { given: &none, known: &[THEIRS] };
            import::<f64>(&merged(), tensors, names).unwrap_err()
        };
        let missing = refused(&parts()[1..]);
        assert!(missing.contains("no `h.3.down`, which is `block3.mix.weight`"), "{missing}");
        let mut more = parts();
        more.push(tensor("rope_freqs", &[2], 0.0));
        assert!(refused(&more).contains("`rope_freqs` has no place in the model"));
        // As long as both together, and cut elsewhere.
        let mut cut = parts();
        (cut[0], cut[1]) = (tensor("h.3.down", &[2, 2], 0.0), tensor("h.3.up", &[1, 2], 0.0));
        let elsewhere = refused(&cut);
        assert!(elsewhere.contains("`h.3.up` is [1, 2], and `block3.mix.weight` needs [2, 2]"));
        let three = InFile::Several(["h.3.up", "h.3.down", "ln"].map(str::to_owned).into());
        let norm = InFile::One("ln".into());
        let map = [("block3.mix.weight".to_owned(), three), ("norm.bias".to_owned(), norm)].into();
        let many = import::<f64>(&merged(), &parts(), alone(&map)).unwrap_err();
        assert!(many.starts_with("3 tensors cannot make `block3.mix.weight`"), "{many}");
    }
}
