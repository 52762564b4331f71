"""Draws world.svg: python3 world.py countries-110m.json ../../../fleet/src/country.rs > world.svg

The shapes are Natural Earth's (public domain), 1:110 million, as the npm package world-atlas 2.0.2 carries them.
Each country is a path whose id is its ISO 3166-1 alpha-2 code. The projection is Natural Earth's (Šavrič and others,
2011), which web/src/pages/map.rs computes too.
"""

import json
import math
import re
import sys

SCALE = 1000 / 5.4655  # The page's width: 1000.
NORTH = 83.7  # Degrees; Antarctica is left out.
# What the atlas calls otherwise than we do. Territories without a code of their own belong to nobody here.
CODES = {
    "W. Sahara": "EH", "United States of America": "US", "Dem. Rep. Congo": "CD", "Dominican Rep.": "DO",
    "Falkland Is.": "FK", "Fr. S. Antarctic Lands": "TF", "Central African Rep.": "CF", "Eq. Guinea": "GQ",
    "eSwatini": "SZ", "Turkey": "TR", "Solomon Is.": "SB", "Bosnia and Herz.": "BA", "Macedonia": "MK", "S. Sudan": "SS",
}


def project(longitude, latitude):
    across, up = math.radians(longitude), math.radians(latitude)
    p2 = up * up
    p4 = p2 * p2
    x = across * (0.8707 + p2 * (-0.131979 + p2 * (-0.013791 + p4 * (0.003971 * p2 - 0.001529 * p4))))
    y = up * (1.007226 + p2 * (0.015085 + p4 * (-0.044475 + 0.028874 * p2 - 0.005916 * p4)))
    return x * SCALE, y * SCALE


TOP = project(0, NORTH)[1]


def point(longitude, latitude):
    x, y = project(longitude, latitude)
    return round((500 + x) * 2), round((TOP - y) * 2)


def ring(atlas, arcs):
    transform, points, place, before = atlas["transform"], [], None, None
    for arc in arcs:
        x = y = 0
        decoded = []
        for dx, dy in atlas["arcs"][~arc if arc < 0 else arc]:
            x, y = x + dx, y + dy
            decoded.append((x, y))
        for x, y in reversed(decoded) if arc < 0 else decoded:
            longitude, latitude = (c * s + t for c, s, t in zip((x, y), transform["scale"], transform["translate"]))
            if before is not None and abs(longitude - before) > 180:  # Over the date line.
                longitude += 360 if longitude < before else -360
            before = longitude
            to = point(longitude, latitude)
            if to != place:
                points.append(to)
                place = to
    return points


def path(rings):
    text = ""
    for points in rings:
        if len(points) < 4:
            continue
        (x, y), steps = points[0], points[1:]
        text += f"M{x} {y}l"
        parts = []
        for to in steps:
            parts.append(f"{to[0] - x} {to[1] - y}")
            x, y = to
        text += re.sub(r" (?=-)", "", " ".join(parts)) + "z"
    return text


def main():
    atlas = json.load(open(sys.argv[1]))
    names = {name: code for code, name in re.findall(r'\("([A-Z]{2})", "([^"]+)"\)', open(sys.argv[2]).read())}
    shapes = []
    for country in atlas["objects"]["countries"]["geometries"]:
        name = country["properties"]["name"]
        code = CODES.get(name) or names.get(name)
        if code == "AQ":
            continue
        polygons = country["arcs"] if country["type"] == "MultiPolygon" else [country["arcs"]]
        drawn = path([ring(atlas, arcs) for polygon in polygons for arcs in polygon])
        if drawn:
            shapes.append(f'<path{f" id={chr(34)}{code}{chr(34)}" if code else ""} d="{drawn}"/>')
    print('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 2000 930"><g id="world">')
    print("\n".join(sorted(shapes)))
    print("</g></svg>")


main()
