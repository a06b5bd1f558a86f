/** The languages of Whisper's multilingual models, by their codes. A test compares them with those of the service. */

const CODES = `af am ar as az ba be bg bn bo br bs ca cs cy da de el en es et eu fa fi fo fr gl gu ha haw he hi hr ht hu hy id is it
  ja jw ka kk km kn ko la lb ln lo lt lv mg mi mk ml mn mr ms mt my ne nl nn no oc pa pl ps pt ro ru sa sd si sk sl sn so sq sr su sv
  sw ta te tg th tk tl tr tt uk ur uz vi yi yo yue zh`;
const names = new Intl.DisplayNames("en", { type: "language" });

/** Return the English name of a language code; the code itself if the browser knows no name. */
export const languageName = (code) => names.of(code === "jw" ? "jv" : code); // Whisper's code for Javanese is an old one

/** All languages as `{code, name}`, by name. */
export const LANGUAGES = CODES.split(/\s+/).map((code) => ({ code, name: languageName(code) })).sort((a, b) => a.name.localeCompare(b.name));
