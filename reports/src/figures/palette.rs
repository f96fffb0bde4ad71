//! Colours and markers. Colours are Okabe and Ito's, which people of every colour vision tell
//! apart; each access level has a shape of its own as well, for prints without colour.

use attribench_core::AccessLevel;

/// A colour in sRGB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Colour(pub u8, pub u8, pub u8);

/// Behind everything.
pub(crate) const PAPER: Colour = Colour(255, 255, 255);
/// Text and axes.
pub(crate) const INK: Colour = Colour(0x22, 0x22, 0x22);
/// Secondary text.
pub(crate) const MUTED: Colour = Colour(0x5F, 0x5F, 0x5F);
/// Lines that guide the eye.
pub(crate) const GRID: Colour = Colour(0xE3, 0xE5, 0xE8);
/// Every other group of rows.
pub(crate) const BAND: Colour = Colour(0xF5, 0xF6, 0xF8);
/// Truths, ceilings, and those who are paid too little: vermillion.
pub(crate) const ALARM: Colour = Colour(0xD5, 0x5E, 0x00);

/// The colour of an access level.
pub(crate) fn colour(access: Option<AccessLevel>) -> Colour {
    match access {
        None => Colour(0x80, 0x80, 0x80),
        Some(AccessLevel::BlackBox) => Colour(0xCC, 0x79, 0xA7),
        Some(AccessLevel::FinalModel) => Colour(0xE6, 0x9F, 0x00),
        Some(AccessLevel::Checkpoints) => Colour(0x00, 0x9E, 0x73),
        Some(AccessLevel::OptimizerStates) => Colour(0x56, 0xB4, 0xE9),
        Some(AccessLevel::FullTrace) => Colour(0x00, 0x72, 0xB2),
    }
}

/// The colour of a number between -1, vermillion, and 1, blue; 0 is the paper.
pub(crate) fn diverging(value: f64) -> Colour {
    let end = if value < 0.0 { ALARM } else { Colour(0x00, 0x72, 0xB2) };
    let share = value.abs().min(1.0);
    let mixed = |paper: u8, end: u8| {
        let mixed = f64::from(paper) + share * (f64::from(end) - f64::from(paper));
        mixed.round() as u8
    };
    Colour(mixed(PAPER.0, end.0), mixed(PAPER.1, end.1), mixed(PAPER.2, end.2))
}

/// The corners of a level's marker around the origin, for a radius of one; a circle has none.
pub(crate) fn corners(access: Option<AccessLevel>) -> &'static [(f64, f64)] {
    match access {
        Some(AccessLevel::BlackBox) => &[(-1.0, -0.8), (1.0, -0.8), (0.0, 1.05)],
        None | Some(AccessLevel::FinalModel) => &[],
        Some(AccessLevel::Checkpoints) => &[(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)],
        Some(AccessLevel::OptimizerStates) => {
            &[(0.0, -1.25), (1.25, 0.0), (0.0, 1.25), (-1.25, 0.0)]
        }
        Some(AccessLevel::FullTrace) => &[(-1.0, 0.8), (1.0, 0.8), (0.0, -1.05)],
    }
}

/// The words for an access level, known or not.
pub(crate) fn title(access: Option<AccessLevel>) -> &'static str {
    access.map_or("access not stated", AccessLevel::title)
}
