"""The stages of the pipeline, a file a stage; `gpu_worker.pipeline` puts them in a row."""
