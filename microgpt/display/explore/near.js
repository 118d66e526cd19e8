// What is seen and what is near. Sections that are not seen wait while the weights change from frame to frame: their views until it ends
// (main.js), the browser until they come into the window (page.css). Drawings far from the window wait until they come near (drawing.js).

/** An observer that gives elements the class "far" while they are farther from the window than a part of its height. @param {string} margin */
const observer = (margin) =>
  new IntersectionObserver(
    (entries) => {
      for (const { target, isIntersecting } of entries) target.classList.toggle("far", !isIntersecting);
      paintSoon();
    },
    { rootMargin: `${margin} 0px` },
  );

const [SECTIONS, CANVASES] = [observer("5%"), observer("50%")];

/** Whether an element that an observer was given is near, as far as the browser has told yet. @param {Element} element */
const isNear = (element) => !element.classList.contains("far");

/** @param {IntersectionObserver} observer @param {Element} element which it may have been given before */
function watch(observer, element) {
  element.classList.add("far");
  observer.unobserve(element); // it tells of what it is given anew
  observer.observe(element);
}
