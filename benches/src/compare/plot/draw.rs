//! A scene as SVG and as PNG, by the backends of plotters.
//!
//! Backends have whole coordinates, so both draw on a grid four times as fine. The SVG is shown at
//! a quarter of that size, the picture is averaged to a half.

use super::PlotError;
use super::font::{FAMILY, Fonts, faces};
use super::scene::{Anchor, Point, Scene, Shape, Style};
use super::theme::Color;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder, RgbImage, imageops};
use plotters::backend::{BitMapBackend, DrawingBackend, SVGBackend};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{FontTransform, IntoFont, RGBColor, ShapeStyle, TextStyle};

/// Steps of the backends' grid a unit.
const FINE: f64 = 4.0;

/// Steps of the grid a pixel of the picture.
const AVERAGED: u32 = 2;

/// The SVG backend writes a font's size over this.
const SIZE: f64 = 1.24;
/// It puts the baseline of a text whose top is at a place so many ems below.
const TOP: f64 = 0.76;

/// With its fonts, so that it looks the same wherever it is shown by itself.
pub(crate) fn svg(scene: &Scene) -> Result<String, PlotError> {
    let style = format!(">\n<style>\n{}</style>\n", faces());
    Ok(inline_svg(scene)?.replacen(">\n", &style, 1))
}

/// For a page that has the fonts.
pub(crate) fn inline_svg(scene: &Scene) -> Result<String, PlotError> {
    let mut text = String::new();
    let (width, height) = size(scene);
    {
        let mut backend = SVGBackend::with_string(&mut text, (width, height));
        for shape in &scene.shapes {
            match shape {
                Shape::Text { at, text, style } => write(&mut backend, *at, text, style)?,
                other => draw(&mut backend, other)?,
            }
        }
        backend.present().map_err(failed)?;
    }
    // Shown at the scene's size, but no wider than what it stands in.
    let fine = format!("<svg width=\"{width}\" height=\"{height}\"");
    let shown = format!("<svg width=\"{}\" height=\"{}\"", scene.width, scene.height);
    Ok(text.replacen(&fine, &shown, 1))
}

pub(crate) fn png(scene: &Scene) -> Result<Vec<u8>, PlotError> {
    let fonts = Fonts::new()?;
    let (width, height) = size(scene);
    let mut pixels = RgbImage::new(width, height);
    {
        let mut backend = BitMapBackend::with_buffer(&mut pixels, (width, height));
        for shape in &scene.shapes {
            match shape {
                Shape::Text { at, text, style } => {
                    paint(&mut backend, &fonts, *at, text, style)?;
                }
                other => draw(&mut backend, other)?,
            }
        }
        backend.present().map_err(failed)?;
    }
    let (width, height) = (width / AVERAGED, height / AVERAGED);
    let small = imageops::thumbnail(&pixels, width, height);
    let mut bytes = Vec::new();
    PngEncoder::new_with_quality(&mut bytes, CompressionType::Best, FilterType::Adaptive)
        .write_image(&small, width, height, ExtendedColorType::Rgb8)?;
    Ok(bytes)
}

fn size(scene: &Scene) -> (u32, u32) {
    ((scene.width * FINE).ceil() as u32, (scene.height * FINE).ceil() as u32)
}

fn fine(point: Point) -> (i32, i32) {
    ((point.x * FINE).round() as i32, (point.y * FINE).round() as i32)
}

fn rgb(Color(red, green, blue): Color) -> RGBColor {
    RGBColor(red, green, blue)
}

fn failed(error: impl std::fmt::Display) -> PlotError {
    PlotError::Draw { reason: error.to_string() }
}

/// Everything but texts.
fn draw<B: DrawingBackend>(backend: &mut B, shape: &Shape) -> Result<(), PlotError> {
    let drawn = match shape {
        Shape::Line { points, width, color } => {
            let stroke_width = (width * FINE).round().max(1.0) as u32;
            let style = ShapeStyle { color: rgb(*color).into(), filled: false, stroke_width };
            backend.draw_path(points.iter().copied().map(fine), &style)
        }
        Shape::Polygon { points, color } => {
            backend.fill_polygon(points.iter().copied().map(fine), &rgb(*color))
        }
        Shape::Disc { center, radius, color } => {
            let radius = (radius * FINE).round() as u32;
            backend.draw_circle(fine(*center), radius, &rgb(*color), true)
        }
        Shape::Text { .. } => Ok(()),
    };
    drawn.map_err(failed)
}

/// A text that the viewer sets.
fn write(
    backend: &mut SVGBackend<'_>,
    at: Point,
    text: &str,
    style: &Style,
) -> Result<(), PlotError> {
    let h_pos = match style.anchor {
        Anchor::Start => HPos::Left,
        Anchor::Middle => HPos::Center,
        Anchor::End => HPos::Right,
    };
    // The backend shifts the baseline down in the text's own direction, so the place goes up.
    let up = TOP * style.size;
    let top = match style.upright {
        true => Point { x: at.x - up, y: at.y },
        false => Point { x: at.x, y: at.y - up },
    };
    let font = (FAMILY, style.size * FINE * SIZE).into_font();
    let font = if style.bold { font.style(plotters::style::FontStyle::Bold) } else { font };
    let font = if style.upright { font.transform(FontTransform::Rotate270) } else { font };
    let color = rgb(style.color);
    let style = TextStyle::from(font).color(&color).pos(Pos::new(h_pos, VPos::Top));
    backend.draw_text(text, &style, fine(top)).map_err(failed)
}

/// A text whose pixels are drawn here.
fn paint(
    backend: &mut BitMapBackend<'_>,
    fonts: &Fonts,
    at: Point,
    text: &str,
    style: &Style,
) -> Result<(), PlotError> {
    let size = style.size * FINE;
    let width = fonts.width(text, size, style.bold);
    let back = match style.anchor {
        Anchor::Start => 0.0,
        Anchor::Middle => width / 2.0,
        Anchor::End => width,
    };
    let (x, y) = fine(at);
    let back = back.round() as i32;
    let mut pixels = Vec::new();
    fonts.pixels(text, size, style.bold, &mut |right, down, covered| {
        let place = match style.upright {
            true => (x + down, y - (right - back)),
            false => (x + right - back, y + down),
        };
        pixels.push((place, covered));
    });
    use plotters::style::Color as _;
    for (place, covered) in pixels {
        let color = rgb(style.color).mix(f64::from(covered)).to_backend_color();
        backend.draw_pixel(place, color).map_err(failed)?;
    }
    Ok(())
}
