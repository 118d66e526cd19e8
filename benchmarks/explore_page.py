"""The page of `microgpt explore` in a headless Chromium: how fast it trains, samples and follows its slider, and what holds it up.

    python benchmarks/explore_page.py [--seconds 4] [--rounds 3] [--page FILE]
    python benchmarks/explore_page.py --pair OLD.html NEW.html

Needs the extra "browser". In each round, in turns: steps a second of the training section, curves and samples included; those of its
worker with a page that looks at nothing; characters a second of the section of 100,000 texts, at the temperatures 0.5 and 1; and, while
the slider of a model of 40,000 parameters moves, frames a second, the processor time of one on the page's own thread (the median), and
that of the whole process, which draws without a graphics processor. Then what a user does: opening pages, scrolling, filling in 32,000
names, showing the model trained. With each, how many tasks of the page's thread took more than 50 ms of its processor time, and the
longest: by a clock, other programs would lengthen them. Where `node` is there, training and sampling are timed there too. --page: keep
the page of the published model. --pair: only the slider's frames, of two pages with snapshots, one after the other in each round.
"""

import argparse
import itertools
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

import websocket  # of websocket-client, which selenium needs

import microgpt
from microgpt import GPTConfig, TrainConfig
from microgpt.display import explore

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests" / "support"))
import browser

START = """
    const [seconds, given] = arguments;
    const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));
"""
TRAIN = """
    trainer.take(page.data.documents.join("\\n"));
    byId("train-num_steps").value = 10000000;
    byId("train").scrollIntoView();
    byId("train-start").click();
    await pause(1500); // until it is compiled
    const [steps, start] = [trainer.losses.length, performance.now()];
    await pause(1000 * seconds);
    const result = (1000 * (trainer.losses.length - steps)) / (performance.now() - start);
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
    return (1000 * (steps - before)) / (performance.now() - start);
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
    return (1000 * last.characters) / (performance.now() - start);
"""
SLIDE = """
    page.set("mari");
    await page.update();
    let [frames, stop] = [0, 0];
    const start = performance.now();
    while (performance.now() < start + 1000 * seconds) {
      byId("step").value = stop++ % (page.film.last + 1);
      byId("step").dispatchEvent(new Event("input"));
      await new Promise(requestAnimationFrame);
      performance.mark("frame");
      frames++;
    }
    performance.mark("end");
    return [(1000 * frames) / (performance.now() - start), frames];
"""
OPENED = """
    await pause(500);
    return performance.getEntriesByName("first-paint")[0].startTime;
"""
NAMES = """
    trainer.take(page.data.documents.join("\\n"));
    byId("train").scrollIntoView();
    await pause(1000);
"""
TRAINED = """
    byId("train-num_steps").value = 100;
    byId("train-start").click();
    while (trainer.losses.length < 100) await pause(50);
    byId("train-show").click();
    await page.ready;
    await pause(1000);
"""
SCROLLED = """
    await page.update();
    for (let y = 0; y < document.body.scrollHeight; y += innerHeight) {
      scrollTo(0, y);
      await pause(100);
    }
"""
NODE = """
    const [, file, seconds] = process.argv;
    const html = require("fs").readFileSync(file, "utf8");
    const part = (id, end = "</script>") => html.match(new RegExp(`id="${id}".*?>\\n?(.*?)${end}`, "s"))[1];
    const data = JSON.parse(part("data"));
    const bytes = Uint8Array.from(atob(part("weights", "</div>").replace(/<.*?>/g, "")), (char) => char.charCodeAt(0));
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


SHAPES = {  # of the pages; all have snapshots
    "published": (GPTConfig(), 1000),
    "large": (GPTConfig(n_layer=3, n_embd=32), 300),
    "8 heads x 3 layers": (GPTConfig(n_layer=3, n_embd=32, n_head=8), 100),
}


def pages(folder):
    """A page for each of SHAPES, and one of the first two beside each other: their files by name."""
    docs, shown = microgpt.load_docs("names"), []
    for name, (config, steps) in SHAPES.items():
        run = microgpt.train(docs, config, TrainConfig(steps), engine="fast", snapshots=40)
        shown.append(explore.Shown(run.model, name, run.losses, training=run.training, snapshots=run.snapshots, docs=docs))
    files = {name: folder / f"{number}.html" for number, name in enumerate((*SHAPES, "two models"))}
    for file, one, beside in zip(files.values(), [*shown, shown[0]], [None] * len(shown) + [shown[1]]):
        options = {name: value for name, value in vars(one).items() if name != "model"}
        explore.write(file, one.model, **options, beside=beside)
    return files


def traced(driver, act):
    """act() -> its result, the processor time of each task of the page's thread meanwhile, and that of each of SLIDE's frames: milliseconds."""
    with urllib.request.urlopen(f"http://{driver.capabilities['goog:chromeOptions']['debuggerAddress']}/json/version") as answer:
        socket = websocket.create_connection(json.load(answer)["webSocketDebuggerUrl"], suppress_origin=True)

    def send(method, until, **params):
        """Send a message, and receive what comes until an answer of this kind."""
        socket.send(json.dumps({"id": 1, "method": method, "params": params}))
        while until not in (received := json.loads(socket.recv())).values():
            events.extend(received.get("params", {}).get("value", ()))

    events = []
    config = {"includedCategories": ["toplevel", "blink.user_timing"], "recordMode": "recordAsMuchAsPossible"}
    send("Tracing.start", 1, traceConfig=config)
    result = act()
    browser.wait(driver, "performance.mark('page')")
    send("Tracing.end", "Tracing.tracingComplete")
    socket.close()
    thread = next((event["pid"], event["tid"]) for event in events if event["name"] == "page" and "user_timing" in event["cat"])
    own = sorted((event for event in events if (event["pid"], event["tid"]) == thread), key=lambda event: event["ts"])
    tasks, frames, start, end = [], [], None, 0
    for event in own:
        if event["name"].endswith("RunTask") and event["ph"] == "X" and event["ts"] >= end:  # the outermost
            end = event["ts"] + event["dur"]
            tasks.append(event.get("tdur", 0) / 1000)
        elif event["name"] in ("frame", "end") and "user_timing" in event["cat"]:  # within the task that computes and draws the frame
            if start is not None and len(tasks) - 1 > start:
                frames.append(sum(tasks[start:-1]))
            start = len(tasks) - 1 if event["name"] == "frame" else None
    return result, tasks, frames


def measure(rounds, seconds, files):
    """What was measured -> [one number of each round, ...], and -> the milliseconds of each task, both by name."""
    results, tasks = {}, {}

    def take(name, code, given=None, file=None):
        def act():
            if file:
                browser.show(driver, file)
            return browser.wait(driver, START + code, seconds, given)

        result, found, frames = traced(driver, act)
        tasks.setdefault(name, []).extend(found)
        if isinstance(result, (int, float)):
            results.setdefault(name, []).append(result)
        return result, frames

    def processor():
        """Seconds of the page's process."""
        metrics = driver.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
        return next(metric["value"] for metric in metrics if metric["name"] == "ProcessTime")

    with browser.chromium() as driver:
        driver.execute_cdp_cmd("Performance.enable", {})
        for _ in range(rounds):
            browser.show(driver, files["published"])
            take("steps a second in the page", TRAIN)
            take("steps a second of its worker", WORKER)
            take("characters a second at 0.5", SAMPLE, 0.5)
            take("characters a second at 1", SAMPLE, 1)
            browser.show(driver, files["large"])
            before = processor()
            (rate, count), frames = take("moving the slider", SLIDE)
            for name, number in (
                ("frames a second", rate),
                ("milliseconds a frame, its thread", statistics.median(frames)),
                ("milliseconds a frame, its process", 1000 * (processor() - before) / count),
            ):
                results.setdefault(name, []).append(number)
            for name, file in files.items():
                take(f"milliseconds to first paint, {name}", OPENED, file=file)
                take(f"scrolling, {name}", SCROLLED)
            browser.show(driver, files["large"])
            take("filling in 32,000 names", NAMES)
            take("showing the model trained", TRAINED)
            if shutil.which("node"):
                output = subprocess.run(
                    ["node", "-e", NODE, str(files["published"]), str(seconds)], capture_output=True, text=True, check=True
                ).stdout
                for name, number in zip(("steps a second", "characters a second at 0.5", "characters a second at 1"), output.split()):
                    results.setdefault(f"{name} in Node", []).append(float(number))
    return results, tasks


def compare(rounds, seconds, pages):
    """Print the processor time of the slider's frames of two pages."""
    frames = {page: [] for page in pages}
    with browser.chromium() as driver:
        for _ in range(rounds):
            for page in pages:
                browser.show(driver, page)
                frames[page].append(traced(driver, lambda: browser.wait(driver, START + SLIDE, seconds))[2])
    old, new = ([statistics.median(some) for some in frames[page]] for page in pages)
    for page in pages:
        low, middle, _ = statistics.quantiles(itertools.chain(*frames[page]), n=4)
        print(f"{page}: {middle:.1f} ms a frame on its thread (median; a quarter of the frames take less than {low:.1f})")
    print(f"new / old, median of the rounds: {statistics.median(after / before for before, after in zip(old, new)):.2f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--page")
    parser.add_argument("--pair", nargs=2, metavar="PAGE")
    arguments = parser.parse_args()
    if arguments.pair:
        compare(arguments.rounds, arguments.seconds, arguments.pair)
        return
    with tempfile.TemporaryDirectory() as folder:
        files = pages(Path(folder))
        if arguments.page:
            shutil.copy(files["published"], arguments.page)
        results, tasks = measure(arguments.rounds, arguments.seconds, files)
    for name in dict.fromkeys((*results, *tasks)):
        numbers, spent = results.get(name), tasks.get(name)
        measured = f"{statistics.median(numbers):14,.1f}   {min(numbers):,.1f} .. {max(numbers):,.1f}" if numbers else ""
        told = f"   {sum(task > 50 for task in spent)} tasks over 50 ms, the longest {max(spent):.0f}" if spent else ""
        print(f"{name:48}{measured:40}{told}".rstrip())


if __name__ == "__main__":
    main()
