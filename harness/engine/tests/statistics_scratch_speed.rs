//! Scratch.
use attribench_core::stream;
use attribench_engine::metrics::*;
use attribench_engine::statistics::*;
use ndarray::*;
use rand::RngExt;
#[test]
fn speed() {
    let mut random = stream(1, "x", 0);
    let y = Array3::from_shape_simple_fn((2, 200, 100), || random.random::<f64>());
    let m: Vec<Array2<f64>> = (0..10).map(|_| Array2::from_shape_simple_fn((200, 100), || random.random::<f64>())).collect();
    let v: Vec<_> = m.iter().map(|m| m.view()).collect();
    let subsets = Array2::from_shape_simple_fn((200, 2000), || f64::from(u8::from(random.random::<bool>())));
    let s: Vec<Array2<f64>> = (0..10).map(|_| Array2::from_shape_simple_fn((2000, 100), || random.random::<f64>())).collect();
    let sv: Vec<_> = s.iter().map(|m| m.view()).collect();
    for seeds in [Seeds::Fixed, Seeds::Crossed(2), Seeds::Nested(2)] {
        let t = std::time::Instant::now();
        let r = Resamples::new(Plan { seed: 1, rows: 200, columns: 100, draws: 2000, seeds }).unwrap();
        let a = t.elapsed();
        let l = lds(&LdsInput { subsets: subsets.view(), utilities: y.view() }, &sv, &r).unwrap();
        let b = t.elapsed();
        removal(y.view(), &v, &r).unwrap();
        let c = t.elapsed();
        calibration(y.view(), &v, &r).unwrap();
        let d = t.elapsed();
        sign_agreement(y.view(), &v, Array1::zeros(100).view(), &r).unwrap();
        let e = t.elapsed();
        top_k(y.view(), &v, 10, &r).unwrap();
        let f = t.elapsed();
        reliability(y.view(), &r).unwrap();
        let g = t.elapsed();
        println!("{seeds:?} draws {a:?} lds {:?} removal {:?} calib {:?} sign {:?} topk {:?} rel {:?} {}", b - a, c - b, d - c, e - d, f - e, g-f, l[0].mean.point());
    }
}
