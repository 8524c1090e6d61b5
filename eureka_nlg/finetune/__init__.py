"""From conversations to a fine-tuned Hugging Face model: the work behind ``eureka finetune``."""
