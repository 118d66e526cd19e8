// The Web Worker in which a Learner trains or a Count is made, so that the page never waits for it. A message may have `begin`, the
// arguments of a Learner; `training`, fields of TrainConfig to change; `running`, whether it trains. The answers: `begun`, the model that
// was made, and after each turn of training a `report`. Or it has `count`, what a Count is of; the answers: `counted`, after each round.

const TURN = 80; // milliseconds of training between two reports, and between two looks at messages

/** @type {Learner} */
let learner;
let running = false;
let isDue = false; // whether a turn has been asked for
const turns = new MessageChannel(); // to itself; setTimeout would wait 4 ms each time
turns.port1.onmessage = train;

onmessage = ({ data: { begin, training, running: wanted, count } }) => {
  if (count) return countTexts(count);
  if (begin) {
    learner = new Learner(...begin);
    const { config, layout, characters, weights } = learner;
    postMessage({ begun: { config, layout, characters, weights, num_params: weights.length } });
  }
  Object.assign(learner.training, training);
  running = wanted ?? running;
  if (running) again();
};

function again() {
  if (!isDue) turns.port2.postMessage(0);
  isDue = true;
}

/** Train for a turn, and report. */
function train() {
  isDue = false;
  if (!running) return;
  const [losses, norms, start] = [[], [], performance.now()];
  const goesOn = () => learner.steps < learner.training.num_steps && (losses.at(-1) ?? 0) < Infinity;
  while (goesOn() && performance.now() < start + TURN) {
    const { loss, norm } = learner.step();
    losses.push(loss);
    norms.push(norm);
  }
  running = goesOn();
  // losses, norms: of this turn, which took `time` milliseconds; weights: copied as they are sent
  const { steps, weights } = learner;
  postMessage({ report: { steps, losses, norms, time: performance.now() - start, running, weights } });
  if (running) again();
}

/** Write and count texts, round by round. The page ends this by ending the worker. */
function countTexts({ config, layout, weights, points, documents, seed, ...wanted }) {
  const count = new Count(new Sampler(config, layout, weights, new Random(seed)), points, documents, wanted);
  while (count.written < count.total) postMessage({ counted: count.round() });
}
