def load_docs(source=None):
    with open(source, encoding="utf-8") as file:
        return [line.strip() for line in file.read().strip().split("\n") if line.strip()]
