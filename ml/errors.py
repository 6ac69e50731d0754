"""The one failure that is the file's fault."""


class AudioError(Exception):
    """A sound that cannot be analysed. Retrying will not help.

    code: stable machine name, one of `not_audio`, `unsupported`, `damaged`, `empty`,
        `too_short`, `too_long`, `too_large`; of a decoder in a process of its own also
        `decoder_crashed`, `decoder_too_slow`, `decoder_out_of_memory`.
    detail: one sentence for a person, what is wrong with the file.
    hint: one sentence, what to do about it.
    """

    def __init__(self, code: str, detail: str, hint: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.hint = hint
