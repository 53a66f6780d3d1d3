"""Facts beside the maps of the Localize page, as HTML fragments and sentences."""

from __future__ import annotations

from markupsafe import Markup

from app.localize.service import Answer, Finding, is_absent
from app.maps.overlays import MAX_REGIONS, area_text
from app.ui.html import list_of
from app.ui.render import render
from lrsclip.calibration.presence import PRESENCE_WORDS, Presence
from lrsclip.localize import Heatmap
from lrsclip.localize.regions import Regions

_METHODS = {
    "dense": "fast (dense): windows pooled from one look at the scene",
    "windows": "windows, each looked at by itself",
}


def answer_facts(answer: Answer) -> Markup:
    """Draw the facts of every large map; of two, each under its sentence. Below: the clauses that have own maps."""
    return render(
        "localize/answer_facts.html",
        findings=[(one.heatmap.text, list_of(_rows(one, answer.place_note, answer.shown))) for one in answer.findings],
        clauses=[(heatmap.text, _capital(clause_summary(heatmap))) for heatmap in answer.clauses],
    )


def clause_summary(heatmap: Heatmap) -> str:
    """Summarize the small map of a clause: the best cosine, and whether the clause is present at all."""
    cosine = f"best cosine {heatmap.best.score_cos:.3f}"
    if heatmap.presence is None:
        return cosine
    return f"{cosine}, {PRESENCE_WORDS[heatmap.presence.verdict]} ({100 * heatmap.presence.probability:.0f} %)"


def _capital(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def presence_text(presence: Presence) -> str:
    """Say whether a sentence is true of the scene at all, and how reliable the answer is."""
    verdict = PRESENCE_WORDS[presence.verdict]
    answer = f"{verdict.capitalize()} ({100 * presence.probability:.0f} %)."
    if presence.verdict == "unsure":
        return f"{answer} In tests the model could not tell for {100 * presence.unsure_rate:.0f} in 100 sentences."
    wrong, truth = (presence.false_alarm_rate, "false") if presence.present else (presence.miss_rate, "true")
    if wrong <= 0:
        return f'{answer} In tests no {truth} sentence was called "{verdict}".'
    often = f"about 1 in {round(1 / wrong)}" if wrong <= 0.4 else f"{100 * wrong:.0f} in 100"
    return f'{answer} In tests, {often} {truth} sentences were also called "{verdict}".'


def _rows(finding: Finding, place_note: str, shown: str) -> list[tuple[str, str]]:
    heatmap = finding.heatmap
    rows = []
    if heatmap.presence is not None:
        rows.append(("In the scene", presence_text(heatmap.presence)))
    best = heatmap.best
    rows += [
        ("Cosine over the scene", f"{heatmap.min_cos:.4f} to {heatmap.max_cos:.4f}"),
        ("Areas", _areas(finding)),
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
    if shown:
        rows.append(("Bands", shown))
    return rows


def _areas(finding: Finding) -> str:
    if is_absent(finding.heatmap) and not finding.regions.regions and finding.regions.chosen_by == "otsu":
        return "none outlined, since this is probably not here; to outline some, give a score under Settings"
    return _regions(finding.regions)


def _regions(regions: Regions) -> str:
    origin = "set automatically" if regions.chosen_by == "otsu" else "as asked"
    threshold = f"(score above {regions.threshold_cos:.2f}, {origin})"
    if not regions.regions:
        return f"none {threshold}"
    areas_m2 = [region.area_m2 for region in regions.regions if region.area_m2 is not None]
    known = len(areas_m2) == len(regions.regions)
    area = area_text(sum(region.area_px for region in regions.regions), sum(areas_m2) if known else None)
    count = len(regions.regions)
    drawn = f"; the best {MAX_REGIONS} are drawn" if count > MAX_REGIONS else ""
    return f"{count} area{'s' if count > 1 else ''}, {area} {threshold}{drawn}"


def _work(heatmap: Heatmap) -> str:
    known = " (reused from before)" if heatmap.reused else ""
    return f"{heatmap.windows:,} windows in {heatmap.seconds:.2f} s{known}"


def _place(bounds: tuple[float, float, float, float]) -> str:
    west, south, east, north = bounds
    return f"{_degrees(south, 'NS')} to {_degrees(north, 'NS')}, {_degrees(west, 'EW')} to {_degrees(east, 'EW')}"


def _degrees(angle: float, signs: str) -> str:
    if signs == "EW" and angle > 180:
        angle -= 360
    return f"{abs(angle):.5f}° {signs[angle < 0]}"
