# The demo for machines without a GPU: docker build -t lrsclip . && docker run --rm -p 7860:7860 lrsclip
FROM python:3.12-slim

RUN useradd --create-home --uid 1000 lrsclip && mkdir /cache && chown lrsclip /cache
WORKDIR /srv/lrsclip

# rasterio's wheels look for the system's expat, which slim images do not have.
RUN apt-get update && apt-get install -y --no-install-recommends libexpat1 && rm -rf /var/lib/apt/lists/*

# PyTorch without CUDA, and then what serving needs.
COPY requirements.txt .
RUN pip install --no-cache-dir --index-url https://download.pytorch.org/whl/cpu torch torchvision \
    && pip install --no-cache-dir -r requirements.txt

COPY app.py LICENSE ./
COPY app app
COPY lrsclip lrsclip

# Few memory arenas, as app.cli asks for too.
ENV LRSCLIP_HOST=0.0.0.0 LRSCLIP_PORT=7860 LRSCLIP_LOG=1 LRSCLIP_CACHE=/cache HF_HOME=/cache/huggingface GRADIO_TEMP_DIR=/tmp/gradio \
    MPLCONFIGDIR=/tmp/matplotlib PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 MALLOC_ARENA_MAX=4
USER lrsclip
VOLUME /cache
EXPOSE 7860
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f'http://127.0.0.1:{os.environ[\"LRSCLIP_PORT\"]}/health', timeout=4).read()"]
CMD ["python", "app.py"]
