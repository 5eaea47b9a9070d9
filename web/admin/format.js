// Figures as people read them.

const UNITS = [["d", 86_400], ["h", 3_600], ["min", 60]];
const BYTES = ["B", "KiB", "MiB", "GiB"];

/** "3 d 4 h", "12 s": a span of seconds, to the two largest units. */
export function duration(seconds) {
  let rest = Math.max(0, Math.floor(seconds));
  const parts = [];
  for (const [unit, size] of UNITS) {
    if (rest >= size) parts.push(`${Math.floor(rest / size)} ${unit}`);
    rest %= size;
  }
  if (parts.length === 0 || rest) parts.push(`${rest} s`);
  return parts.slice(0, 2).join(" ");
}

/** "1.5 KiB". */
export function bytes(count) {
  let [size, unit] = [count, 0];
  while (size >= 1024 && unit < BYTES.length - 1) [size, unit] = [size / 1024, unit + 1];
  return `${unit && size < 100 ? size.toFixed(1) : Math.round(size)} ${BYTES[unit]}`;
}

/** "12.3 ms", or a dash for what is not known yet. */
export function milliseconds(value) {
  return value === null ? "–" : `${value.toFixed(value < 10 ? 1 : 0)} ms`;
}

/** "41 (e1)": where a stream of publications stands. */
export function position(place) {
  return place === null ? "–" : `${place[1]} (${place[0]})`;
}

/** "Ana (u17)", "Ana", or a dash for nobody. */
export function person(user) {
  if (user === null) return "–";
  return user.name === user.id ? user.id : `${user.name} (${user.id})`;
}
