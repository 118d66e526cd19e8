// How the page opens where its address asks for nothing: a beginning is typed in, and the film plays once. Whoever does something ends
// this; where the system asks for less motion, the beginning is there at once and nothing plays.

const TYPED = 3; // characters
const TYPING_TIME = 300; // milliseconds a character

/** @param {Desk} desk */
async function open(desk) {
  const [page] = desk.pages;
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  let isEnded = false;
  const end = () => {
    if (!isEnded) desk.film.stop();
    isEnded = true;
    desk.address.isQuiet = false;
  };
  for (const type of ["pointerdown", "keydown", "input"]) addEventListener(type, end, { once: true, capture: true });
  const sample = await writeText(page.samples.context, [page.config.opening], 0.5, () => !isEnded, dice(1));
  const beginning = (sample?.ids ?? []).slice(0, Math.min(TYPED, page.config.block_size - 1)).map((id) => page.alphabet.text(id));
  if (calm) desk.set(beginning.join(""));
  for (const character of calm ? [] : beginning) {
    await new Promise((resume) => setTimeout(resume, TYPING_TIME));
    if (isEnded) return;
    desk.append(character);
  }
  if (isEnded) return;
  if (desk.film.last && !calm) desk.film.play(); // which writes the samples when it has come to its end
  else await desk.write({ aloud: false });
}
