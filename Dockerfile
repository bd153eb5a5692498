# docker build -t cryobench . && docker run --rm -v "$PWD:/data" cryobench
# CPU builds of torch; a GPU wants the index of its CUDA version, and docker run --gpus all … trainer=gpu.
FROM python:3.11-slim
ARG PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu
# Packages under licences of their own (see README): --build-arg EXTRAS= leaves them out.
ARG EXTRAS=baselines
WORKDIR /source
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY cryobench ./cryobench
COPY baselines ./baselines
COPY experiments ./experiments
COPY conf ./conf
RUN pip install --no-cache-dir -c constraints.txt ".${EXTRAS:+[$EXTRAS]}"
# Results and the cache of simulated images lie in the folder that is mounted.
ENV CRYOBENCH_CACHE=/data/.cache/cryobench
WORKDIR /data
ENTRYPOINT ["python", "-m", "cryobench"]
