"""The page of `microgpt explore` in a headless Chromium: how fast it trains and samples the published model, and what holds it up.

    python benchmarks/explore_page.py [--seconds 4] [--rounds 3] [--page FILE]

Needs the extra "browser". Each round measures in turn: steps per second of the training section, including curves and samples; those of
its worker alone, with a page that shows nothing; characters per second of the section of 100,000 texts, at the temperatures 0.5 and 1; and
frames per second while the slider of a model of 40,000 parameters moves, with the time per frame. Each comes with the longest task of the
page's main thread. If `node` is installed, training and sampling are timed there too. --page: keep the page of the published model.
"""

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import microgpt
from microgpt import GPTConfig, TrainConfig
from microgpt.display import explore

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests" / "support"))
import browser

WATCHED = """
    let longest = 0;
    const observer = new PerformanceObserver((list) => list.getEntries().forEach(({ duration }) => (longest = Math.max(longest, duration))));
    observer.observe({ entryTypes: ["longtask"] });
    const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));
    const [seconds, given] = arguments;
"""
TRAIN = """
    byId("train-docs").value = page.data.documents.join("\\n");
    byId("train-num_steps").value = 10000000;
    byId("train").scrollIntoView();
    byId("train-start").click();
    await pause(1500); // until it is compiled
    longest = 0; // without the layout of a field of 32,000 lines
    const [steps, start] = [trainer.losses.length, performance.now()];
    await pause(1000 * seconds);
    const result = [(1000 * (trainer.losses.length - steps)) / (performance.now() - start), longest];
    byId("train-stop").click();
    await pause(200);
    return result;
"""
WORKER = """
    const worker = startWorker();
    const { docs, config, seed } = trainer.wanted();
    let steps = 0;
    worker.onmessage = ({ data: { report } }) => (steps = report?.steps ?? 0);
    worker.postMessage({ begin: [docs, config, { ...trainer.data.training, ...trainer.changes() }, seed], running: true });
    await pause(1500);
    const [before, start] = [steps, performance.now()];
    await pause(1000 * seconds);
    worker.terminate();
    return [(1000 * (steps - before)) / (performance.now() - start), longest];
"""
SAMPLE = """
    byId("temperature").value = given;
    page.heat();
    let last;
    const show = page.many.show;
    page.many.show = function (counted) { show.call(this, (last = counted)); };
    const start = performance.now();
    byId("many-write").click();
    while (page.many.worker) await pause(10);
    page.many.show = show;
    return [(1000 * last.characters) / (performance.now() - start), longest];
"""
SLIDE = """
    page.set("mari");
    await page.update();
    const times = [];
    const use = page.use;
    page.use = async function (...given) {
      const start = performance.now();
      await use.apply(this, given);
      times.push(performance.now() - start);
    };
    let [frames, stop] = [0, 0];
    const start = performance.now();
    while (performance.now() < start + 1000 * seconds) {
      byId("step").value = stop++ % (page.film.last + 1);
      byId("step").dispatchEvent(new Event("input"));
      await new Promise(requestAnimationFrame);
      frames++;
    }
    page.use = use;
    times.sort((a, b) => a - b);
    return [(1000 * frames) / (performance.now() - start), longest, times[times.length >> 1]];
"""
NODE = """
    const [, file, seconds] = process.argv;
    const html = require("fs").readFileSync(file, "utf8");
    const part = (id) => html.match(new RegExp(`id="${id}">\\n?(.*?)</script>`, "s"))[1];
    const data = JSON.parse(part("data"));
    const bytes = Uint8Array.from(atob(part("weights")), (char) => char.charCodeAt(0));
    Object.assign(globalThis, { onmessage: null, postMessage: null });
    new Function("data", "weights", "seconds", `${part("worker")}
      turns.port1.close();
      {
        const learner = new Learner(data.documents, data.config, { ...data.training, num_steps: 1e7 }, 42);
        const train = (until, start = performance.now()) => {
          let steps = 0;
          while (performance.now() < start + 1000 * until) learner.step(steps++);
          return steps / until;
        };
        train(1);
        console.log(Math.round(train(seconds)));
        for (const temperature of [0.5, 1]) {
          const points = [...data.characters];
          points.splice(data.config.bos, 0, null);
          const write = () => {
            const sampler = new Sampler(data.config, data.layout, weights, new Random(1));
            const count = new Count(sampler, points, data.documents, { total: 100000, prompt: [data.config.opening], temperature });
            while (count.written < count.total) count.round();
            return (1000 * count.characters) / count.time;
          };
          write();
          console.log(Math.round(write()));
        }
      }`)(data, new Float64Array(bytes.buffer), Number(seconds));
"""


def pages(folder):
    """The pages of the published model and of one with 40,000 parameters, both with snapshots."""
    docs = microgpt.load_docs("names")
    found = []
    for name, config, steps in ("published", GPTConfig(), 1000), ("large", GPTConfig(n_layer=3, n_embd=32), 300):
        run = microgpt.train(docs, config, TrainConfig(steps), engine="fast", snapshots=40)
        explore.write(folder / f"{name}.html", run.model, losses=run.losses, training=run.training, snapshots=run.snapshots, docs=docs)
        found.append(folder / f"{name}.html")
    return found


def measure(rounds, seconds, published, large):
    """Two dicts: name of a measurement -> [a number for each round, ...], and -> the longest task."""
    results, tasks = {}, {}

    def take(name, code, given=None):
        number, longest, *more = browser.wait(driver, WATCHED + code, seconds, given)
        results.setdefault(name, []).append(number)
        tasks[name] = max(tasks.get(name, 0), longest)
        if more:
            results.setdefault("milliseconds a frame", []).extend(more)

    with browser.chromium() as driver:
        for _ in range(rounds):
            browser.show(driver, published)
            take("steps a second in the page", TRAIN)
            take("steps a second of its worker", WORKER)
            take("characters a second at 0.5", SAMPLE, 0.5)
            take("characters a second at 1", SAMPLE, 1)
            browser.show(driver, large)
            take("frames a second", SLIDE)
            if shutil.which("node"):
                output = subprocess.run(
                    ["node", "-e", NODE, str(published), str(seconds)], capture_output=True, text=True, check=True
                ).stdout
                for name, number in zip(("steps a second", "characters a second at 0.5", "characters a second at 1"), output.split()):
                    results.setdefault(f"{name} in Node", []).append(float(number))
    return results, tasks


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--page")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        published, large = pages(Path(folder))
        if arguments.page:
            shutil.copy(published, arguments.page)
        results, tasks = measure(arguments.rounds, arguments.seconds, published, large)
    for name, numbers in results.items():
        task = f"   longest task {tasks[name]:.0f} ms" if name in tasks else ""
        print(f"{name:38}{statistics.median(numbers):14,.0f}   {min(numbers):,.0f} .. {max(numbers):,.0f}{task}")


if __name__ == "__main__":
    main()
