"""From conversations to a fine-tuned model of transformers: the work behind ``eureka finetune``."""
