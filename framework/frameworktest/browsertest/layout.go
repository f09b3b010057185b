package browsertest

import (
	_ "embed"
	"fmt"
	"strings"
)

//go:embed testdata/axe-core/axe.min.js
var axe string

// Accessible fails the test when axe-core finds something in the page as it stands that keeps it from people: by its rules of
// WCAG 2.2 at levels A and AA, and its best practices. What it can't decide is not counted.
func (p *Page) Accessible() {
	p.t.Helper()
	Eval[bool](p, settled)
	found := Eval[[]string](p, `(async () => {
		if (!window.axe) { `+axe+` }
		const { violations } = await window.axe.run(document, { resultTypes: ["violations"], iframes: false });
		return violations.map(({ id, impact, help, nodes }) =>
			impact + " " + id + ": " + help + "\n\t" + nodes.map((n) => n.html.slice(0, 160)).join("\n\t"));
	})()`)
	if len(found) > 0 {
		p.t.Errorf("not accessible:\n%s", strings.Join(found, "\n"))
	}
}

// FitsItsWidth fails the test when something stands out of the window sideways, or is cut off at its side.
func (p *Page) FitsItsWidth() {
	p.t.Helper()
	out := Eval[[]string](p, `[...document.querySelectorAll("body *")].filter((e) => {
		const box = e.getBoundingClientRect(), style = getComputedStyle(e);
		const seen = box.width > 1 && style.visibility === "visible" && style.display !== "inline";
		return seen && (box.right > innerWidth + 0.5 || box.left < -0.5 || e.scrollWidth > Math.max(e.clientWidth, box.width) + 1);
	}).map((e) => e.outerHTML.slice(0, 120))`)
	if len(out) > 0 || Eval[bool](p, "document.scrollingElement.scrollWidth > innerWidth") {
		p.t.Errorf("wider than the window:\n%s", strings.Join(out, "\n"))
	}
}

// Contrast fails the test when text has less contrast to its background than WCAG 2.2 asks at level AA (1.4.3): 4.5 to 1, or
// 3 to 1 for large text. Disabled controls are exempt, as they are there.
func (p *Page) Contrast() {
	p.t.Helper()
	// The relative luminance is that of WCAG 2.2. A canvas resolves any colour to sRGB.
	poor := Eval[[]string](p, `(() => {
		const pen = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
		const rgba = (colour) => {
			pen.clearRect(0, 0, 1, 1);
			pen.fillStyle = colour;
			pen.fillRect(0, 0, 1, 1);
			return pen.getImageData(0, 0, 1, 1).data;
		};
		const luminance = (c) => [0.2126, 0.7152, 0.0722].reduce((sum, weight, i) => {
			const v = c[i] / 255;
			return sum + weight * (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
		}, 0);
		const background = (e) => {
			for (; e; e = e.parentElement) {
				const c = rgba(getComputedStyle(e).backgroundColor);
				if (c[3] > 250) return c;
			}
			return rgba("Canvas");
		};
		const poor = [];
		for (const e of document.querySelectorAll("body *")) {
			const says = [...e.childNodes].some((n) => n.nodeType === Node.TEXT_NODE && n.data.trim());
			if (!says && !e.placeholder || e.closest(":disabled, svg, script, noscript") || !e.checkVisibility()) continue;
			const box = e.getBoundingClientRect();
			if (box.width <= 1) continue;
			const style = getComputedStyle(e, e.placeholder && !e.value ? "::placeholder" : null);
			const size = parseFloat(style.fontSize), large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
			const [a, b] = [luminance(rgba(style.color)), luminance(background(e))].sort((x, y) => y - x);
			const ratio = (a + 0.05) / (b + 0.05);
			if (ratio < (large ? 3 : 4.5)) poor.push(ratio.toFixed(2) + " " + e.outerHTML.slice(0, 120));
		}
		return poor;
	})()`)
	if len(poor) > 0 {
		p.t.Errorf("poor contrast:\n%s", strings.Join(poor, "\n"))
	}
}

// Focused fails the test when the focus is not on what a CSS selector finds.
func (p *Page) Focused(selector string) {
	p.t.Helper()
	if !Eval[bool](p, fmt.Sprintf("document.activeElement.matches(%q)", selector)) {
		p.t.Errorf("the focus is on %s, not on %s", Eval[string](p, "document.activeElement.outerHTML.slice(0, 160)"), selector)
	}
}
