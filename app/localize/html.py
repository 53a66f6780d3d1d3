"""Facts beside the maps of the Localize page, as HTML fragments and sentences."""

from __future__ import annotations

from markupsafe import Markup

from app.localize.service import Answer, Finding
from app.maps.overlays import MAX_REGIONS, area_text
from app.ui.html import list_of
from app.ui.render import render
from lrsclip.calibration.presence import Presence
from lrsclip.localize import Heatmap
from lrsclip.localize.regions import Regions

_METHODS = {"dense": "dense: windows pooled from one look at the scene", "windows": "windows, each looked at by itself"}


def answer_facts(answer: Answer) -> Markup:
    """Draw the facts of every large map; of two, each under its sentence. Below: the clauses that have own maps."""
    return render(
        "localize/answer_facts.html",
        findings=[(one.heatmap.text, list_of(_rows(one, answer.place_note))) for one in answer.findings],
        clauses=[(heatmap.text, _capital(clause_summary(heatmap))) for heatmap in answer.clauses],
    )


def clause_summary(heatmap: Heatmap) -> str:
    """Summarize the small map of a clause: the best cosine, and whether the clause is present at all."""
    cosine = f"best cosine {heatmap.best.score_cos:.3f}"
    if heatmap.presence is None:
        return cosine
    verdict = "probably present" if heatmap.presence.present else "probably not here"
    return f"{cosine}, {verdict} ({100 * heatmap.presence.probability:.0f} %)"


def _capital(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def presence_text(presence: Presence) -> str:
    """Say whether a sentence is true of the scene at all, and how reliable the answer is."""
    verdict, wrong, truth = (
        ("probably present", presence.false_alarm_rate, "not true")
        if presence.present
        else ("probably not here", presence.miss_rate, "true")
    )
    answer = f"{verdict.capitalize()} ({100 * presence.probability:.0f} %)."
    if wrong <= 0:
        return f'{answer} In tests no sentence that was {truth} got "{verdict}".'
    often = f"about 1 in {round(1 / wrong)}" if wrong <= 0.4 else f"{100 * wrong:.0f} in 100"
    return f'{answer} In tests, of sentences that were {truth} {often} got "{verdict}".'


def _rows(finding: Finding, place_note: str) -> list[tuple[str, str]]:
    heatmap = finding.heatmap
    rows = []
    if heatmap.presence is not None:
        rows.append(("In the scene", presence_text(heatmap.presence)))
    best = heatmap.best
    rows += [
        ("Cosine over the scene", f"{heatmap.min_cos:.4f} to {heatmap.max_cos:.4f}"),
        ("Regions", _regions(finding.regions)),
        ("Best window", f"{best.size_px} px at x {best.x_px}, y {best.y_px}: {best.score_cos:.4f}"),
        ("Method", _METHODS[heatmap.method]),
        ("Window sizes", f"{', '.join(str(s) for s in heatmap.scales_px)} px"),
        ("Work", _work(heatmap)),
    ]
    if heatmap.exclude:
        rows.insert(1, ("Left out", heatmap.exclude))
    if heatmap.bounds_lonlat is not None:
        rows.append(("Place", _place(heatmap.bounds_lonlat)))
    elif place_note:
        rows.append(("Place", place_note))
    return rows


def _regions(regions: Regions) -> str:
    origin = "chosen from the map" if regions.chosen_by == "otsu" else "as asked"
    threshold = f"from cosine {regions.threshold_cos:.4f}, {origin}"
    if not regions.regions:
        return f"none {threshold}"
    areas_m2 = [region.area_m2 for region in regions.regions if region.area_m2 is not None]
    known = len(areas_m2) == len(regions.regions)
    area = area_text(sum(region.area_px for region in regions.regions), sum(areas_m2) if known else None)
    count = len(regions.regions)
    drawn = f"; the best {MAX_REGIONS} are drawn" if count > MAX_REGIONS else ""
    return f"{count}, together {area}, {threshold}{drawn}"


def _work(heatmap: Heatmap) -> str:
    known = "the scene was known" if heatmap.reused else "the scene was looked at"
    return f"{heatmap.windows:,} windows in {heatmap.seconds:.2f} s; {known}"


def _place(bounds: tuple[float, float, float, float]) -> str:
    west, south, east, north = bounds
    return f"{_degrees(south, 'NS')} to {_degrees(north, 'NS')}, {_degrees(west, 'EW')} to {_degrees(east, 'EW')}"


def _degrees(angle: float, signs: str) -> str:
    if signs == "EW" and angle > 180:
        angle -= 360
    return f"{abs(angle):.5f}° {signs[angle < 0]}"
