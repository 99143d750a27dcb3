//! A sheet to draw on, in CSS pixels.

use super::palette::{Ink, PAPER};
use crate::report::visible::visible;
use plotters::coord::Shift;
use plotters::coord::ranged1d::Ranged;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// The backend knows whole coordinates only; a tenth of a pixel is finer than anybody sees.
const SCALE: f64 = 10.0;

/// The backend divides sizes of text by this, which is the height of a line.
const LINE_HEIGHT: f64 = 1.24;

/// To which side of its place a text leans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lean {
    /// The text begins there.
    Start,
    /// Its middle is there.
    Middle,
    /// It ends there.
    End,
}

/// Draws one SVG.
pub(super) struct Canvas<'a> {
    area: DrawingArea<SVGBackend<'a>, Shift>,
}

/// Draws an SVG document of `width` by `height` pixels.
pub(super) fn draw(width: f64, height: f64, paint: impl FnOnce(&Canvas<'_>)) -> String {
    let mut text = String::new();
    let size = ((width * SCALE) as u32, (height * SCALE) as u32);
    {
        let canvas = Canvas {
            area: SVGBackend::with_string(&mut text, size).into_drawing_area(),
        };
        canvas.rectangle((0.0, 0.0), (width, height), PAPER, 1.0);
        paint(&canvas);
        // Into memory: there is nothing that could fail.
        let _ = canvas.area.present();
    }
    let scaled = format!("width=\"{}\" height=\"{}\"", size.0, size.1);
    text.replacen(
        &scaled,
        &format!("width=\"{width}\" height=\"{height}\""),
        1,
    )
}

impl Canvas<'_> {
    pub(super) fn rectangle(&self, from: (f64, f64), to: (f64, f64), ink: Ink, opacity: f64) {
        let style = ink.color().mix(opacity).filled();
        let _ = self
            .area
            .draw(&Rectangle::new([place(from), place(to)], style));
    }

    pub(super) fn line(&self, points: &[(f64, f64)], ink: Ink, width: f64) {
        let style = ink.color().stroke_width(length(width));
        let points: Vec<(i32, i32)> = points.iter().copied().map(place).collect();
        let _ = self.area.draw(&PathElement::new(points, style));
    }

    pub(super) fn polygon(&self, points: &[(f64, f64)], ink: Ink, opacity: f64) {
        let points: Vec<(i32, i32)> = points.iter().copied().map(place).collect();
        let _ = self
            .area
            .draw(&Polygon::new(points, ink.color().mix(opacity).filled()));
    }

    pub(super) fn dot(&self, center: (f64, f64), radius: f64, ink: Ink) {
        let style = ink.color().filled();
        let _ = self
            .area
            .draw(&Circle::new(place(center), length(radius), style));
    }

    /// One line of text, centred on its place vertically; without what XML cannot hold.
    pub(super) fn text(&self, text: &str, at: (f64, f64), size: f64, ink: Ink, lean: Lean) {
        let text = visible(text).replace(['\n', '\t', '\u{fffe}', '\u{ffff}'], " ");
        let anchor = match lean {
            Lean::Start => HPos::Left,
            Lean::Middle => HPos::Center,
            Lean::End => HPos::Right,
        };
        let color = ink.color();
        let style = TextStyle::from(("sans-serif", size * SCALE * LINE_HEIGHT).into_font())
            .color(&color)
            .pos(Pos::new(anchor, VPos::Center));
        let _ = self.area.draw(&Text::new(text, place(at), style));
    }
}

fn place((x, y): (f64, f64)) -> (i32, i32) {
    ((x * SCALE).round() as i32, (y * SCALE).round() as i32)
}

fn length(pixels: f64) -> u32 {
    (pixels * SCALE).round() as u32
}

/// Maps values to pixels.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    values: (f64, f64),
    pixels: (f64, f64),
}

impl Scale {
    pub(super) fn new(values: (f64, f64), pixels: (f64, f64)) -> Self {
        Self { values, pixels }
    }

    /// Its first pixel.
    pub(super) fn low(&self) -> f64 {
        self.pixels.0
    }

    /// Its last pixel.
    pub(super) fn high(&self) -> f64 {
        self.pixels.1
    }

    /// The pixel of a value.
    pub(super) fn at(&self, value: f64) -> f64 {
        let (low, high) = self.values;
        let share = if high > low {
            (value - low) / (high - low)
        } else {
            0.5
        };
        self.pixels.0 + share * (self.pixels.1 - self.pixels.0)
    }

    /// At most `count` round values within the scale.
    pub(super) fn ticks(&self, count: usize) -> Vec<f64> {
        let range: RangedCoordf64 = (self.values.0..self.values.1).into();
        range.key_points(count)
    }
}

/// The text cut to `count` characters, with an ellipsis where something is missing.
pub(super) fn clipped(text: &str, count: usize) -> String {
    if text.chars().count() <= count {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(count.saturating_sub(1)).collect();
    short.push('…');
    short
}
