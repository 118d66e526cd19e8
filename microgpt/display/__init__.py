"""Models, runs and graphs made visible; training depends on none of this, though a Run and a GPT call it to show themselves.

cards      what a notebook shows of a Run, a GPT and a Value.
drawing    the scalar graph behind a Value, as a picture by Graphviz.
explore    a trained model as one web page that computes in the browser: HTML, CSS and JavaScript.
history    the losses of a run: smoothed, logged to a file and read back, and summarized in a few sentences.
plot       the loss curves of runs as a picture, by matplotlib.
"""
