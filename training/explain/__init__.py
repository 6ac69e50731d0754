"""Train the mask decoder of a checkpoint, and find the sounds that excite its channels."""
