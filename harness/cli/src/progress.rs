//! Progress bars on standard error, with the time that is left.

use std::sync::Mutex;

use attribench_engine::progress::Progress;
use indicatif::{ProgressBar, ProgressStyle};

/// One bar a stage; drawn only where a person is watching.
#[derive(Default)]
pub struct Bars {
    bar: Mutex<Option<ProgressBar>>,
}

impl Progress for Bars {
    fn begin(&self, stage: &str, total: usize) {
        let style = ProgressStyle::with_template(
            "{prefix:>12} [{bar:30}] {pos}/{len}  {elapsed} spent, {eta} left",
        )
        .expect("the template is well formed")
        .progress_chars("=> ");
        let bar = ProgressBar::new(total as u64).with_style(style).with_prefix(stage.to_owned());
        *self.bar.lock().expect("no thread panics while it holds the bar") = Some(bar);
    }

    fn advance(&self, parts: usize) {
        if let Some(bar) = &*self.bar.lock().expect("no thread panics while it holds the bar") {
            bar.inc(parts as u64);
        }
    }

    fn end(&self) {
        if let Some(bar) = self.bar.lock().expect("no thread panics while it holds the bar").take()
        {
            bar.finish();
        }
    }
}
