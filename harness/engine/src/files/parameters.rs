//! Parameters of a model under names, as other programs keep them.
//!
//! A dense layer `layerK` is `layerK.weight` `(out, in)` and `layerK.bias` `(out)`, which is how
//! PyTorch lays out a linear layer; a kernel of a convolution is `(out, in, height, width)` there
//! and `(out, in height width)` here, the same numbers in the same order. Files with other names
//! are matched layer by layer: names that agree but for `.weight` or `.bias` are one layer, layers
//! are taken in the order of their names with numbers compared as numbers, and every size must
//! agree. Where that order is not the model's, a map says which name is which.

use std::{collections::BTreeMap, ops::Range, path::Path};

use attribench_core::{Layout, Real};
use attribench_datasets::npz::Archive;
use safetensors::SafeTensors;

use super::{FileError, scores::floats};

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

/// Where a named tensor lies in the flat vector.
struct Slot {
    name: String,
    shape: Vec<usize>,
    range: Range<usize>,
}

fn slots(layout: &Layout) -> Vec<Slot> {
    let mut slots = Vec::new();
    for block in layout.blocks() {
        let layer = &layout.layers()[block.layers[0]];
        let (rows, columns) = layer.weight_shape();
        if rows * columns > 0 {
            let range = layer.weight_offset..layer.bias_offset;
            let name = format!("{}.weight", layer.name);
            slots.push(Slot { name, shape: vec![rows, columns], range });
        }
        if layer.has_bias() {
            let name = format!("{}.bias", layer.name);
            slots.push(Slot { name, shape: vec![layer.outputs], range: layer.biases() });
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

/// The flat vector of a model from a file, and for each of its tensors the name there.
///
/// `names` maps names here to names in the file.
///
/// # Errors
/// When the file is neither `.safetensors` nor `.npz`, is damaged, holds other numbers than floats,
/// or does not fit the model.
pub fn load<T: Real>(
    path: &Path,
    layout: &Layout,
    names: &BTreeMap<String, String>,
) -> Result<(Vec<T>, BTreeMap<String, String>), FileError> {
    let file = path.display().to_string();
    import(layout, &read(path)?, names).map_err(|reason| FileError::Content { file, reason })
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
            let refuse = |reason: String| FileError::Content { file: file.clone(), reason };
            let bytes = std::fs::read(path).map_err(|error| refuse(error.to_string()))?;
            let tensors =
                SafeTensors::deserialize(&bytes).map_err(|error| refuse(error.to_string()))?;
            let tensor = |(name, view): (String, safetensors::tensor::TensorView<'_>)| {
                let values = floats(&view).ok_or_else(|| {
                    refuse(format!("`{name}` is {:?}, expected F32 or F64", view.dtype()))
                })?;
                Ok(Tensor { name, shape: view.shape().to_vec(), values })
            };
            tensors.tensors().into_iter().map(tensor).collect()
        }
        _ => Err(FileError::Kind { file, hint: "weights are read from .safetensors or .npz" }),
    }
}

/// As [`load`], from tensors. A tensor that is missing, left over, of another size or not finite is
/// refused with both sides.
fn import<T: Real>(
    layout: &Layout,
    tensors: &[Tensor],
    names: &BTreeMap<String, String>,
) -> Result<(Vec<T>, BTreeMap<String, String>), String> {
    let slots = slots(layout);
    let sides = || {
        let ours: Vec<String> =
            slots.iter().map(|slot| format!("{} {:?}", slot.name, slot.shape)).collect();
        let theirs: Vec<String> =
            tensors.iter().map(|tensor| format!("{} {:?}", tensor.name, tensor.shape)).collect();
        format!("the model has {}; the file has {}", ours.join(", "), theirs.join(", "))
    };
    let pairs = pairs(&slots, tensors, names).map_err(|what| {
        format!("{what}: {}\nhint: say under `parameters:` which is which", sides())
    })?;
    let mut theta = vec![T::zero(); layout.parameters()];
    for (slot, tensor) in slots.iter().zip(&pairs) {
        let fits = tensor.values.len() == slot.range.len()
            && (tensor.shape.len() < 2 || tensor.shape[0] == slot.shape[0]);
        if !fits {
            let (name, shape) = (&slot.name, &slot.shape);
            let theirs = format!("`{}` is {:?}", tensor.name, tensor.shape);
            return Err(format!("{theirs}, and `{name}` needs {shape:?}: {}", sides()));
        }
        if let Some(value) = tensor.values.iter().find(|value| !value.is_finite()) {
            return Err(format!("`{}` holds {value}", tensor.name));
        }
        for (to, &value) in theta[slot.range.clone()].iter_mut().zip(&tensor.values) {
            *to = T::from_f64(value);
        }
    }
    let mapped = slots.iter().zip(&pairs);
    Ok((theta, mapped.map(|(slot, tensor)| (slot.name.clone(), tensor.name.clone())).collect()))
}

/// The tensor of each slot: by the map, else by equal names, else by order.
fn pairs<'a>(
    slots: &[Slot],
    tensors: &'a [Tensor],
    names: &BTreeMap<String, String>,
) -> Result<Vec<&'a Tensor>, String> {
    let find = |name: &str| tensors.iter().find(|tensor| tensor.name == name);
    if let Some(unknown) = names.keys().find(|name| !slots.iter().any(|slot| slot.name == **name)) {
        return Err(format!("`parameters` names `{unknown}`, which the model does not have"));
    }
    if !names.is_empty() || slots.iter().all(|slot| find(&slot.name).is_some()) {
        return slots
            .iter()
            .map(|slot| {
                let name = names.get(&slot.name).unwrap_or(&slot.name);
                find(name).ok_or_else(|| format!("there is no `{name}`"))
            })
            .collect();
    }
    if tensors.len() != slots.len() {
        return Err(format!("{} tensors do not fit {}", tensors.len(), slots.len()));
    }
    let mut ordered: Vec<&Tensor> = tensors.iter().collect();
    ordered.sort_by_cached_key(|tensor| order(&tensor.name));
    Ok(ordered)
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

    use attribench_core::Layout;

    use super::{Tensor, export, import};

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
        let (theta, mapped) = import::<f64>(&layout(), &theirs(), &BTreeMap::new()).unwrap();
        assert_eq!(theta, FLAT);
        assert_eq!(mapped["layer1.weight"], "net.10.weight");
    }

    #[test]
    fn what_was_exported_comes_back() {
        let exported = export(&layout(), &FLAT);
        assert_eq!(exported[0], tensor("layer0.weight", &[2, 3], 10.0));
        let (theta, _) = import::<f64>(&layout(), &exported, &BTreeMap::new()).unwrap();
        assert_eq!(theta, FLAT);
    }

    #[test]
    fn a_map_goes_before_every_order() {
        let names: BTreeMap<String, String> = [
            ("layer0.weight", "net.2.weight"),
            ("layer0.bias", "net.10.bias"),
            ("layer1.weight", "net.10.weight"),
            ("layer1.bias", "net.2.bias"),
        ]
        .map(|(ours, theirs)| (ours.to_owned(), theirs.to_owned()))
        .into();
        let (theta, _) = import::<f64>(&layout(), &theirs(), &names).unwrap();
        assert_eq!(theta[6..8], [40.0, 41.0]);
        assert_eq!(theta[12..], [20.0, 21.0]);
    }

    #[test]
    fn what_does_not_fit_is_refused_with_both_sides() {
        let refused = |tensors: &[Tensor], names: &[(&str, &str)]| {
            let names = names.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect();
            import::<f32>(&layout(), tensors, &names).unwrap_err()
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
}
