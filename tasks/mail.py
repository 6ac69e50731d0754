"""Send the e-mails about finished batches."""

import logging
import smtplib

from django.conf import settings
from django.core.mail import send_mail

from classifier import links
from classifier.models import Batch, BatchMail
from classifier.services import batch_notices, batches

logger = logging.getLogger(__name__)

# E-mails of one pass of the sweep: the SMTP server may take seconds for each.
MAX_MAILS = 3


def send_due() -> None:
    """Send the e-mails that are due; one that cannot be sent is tried again in a later pass."""
    if not settings.EMAIL_HOST:
        return
    for batch in batch_notices.due_mails(MAX_MAILS):
        # Counted before the claim: a claimed e-mail is lost if the database fails.
        counts = batches.totals(batch).words
        if batch_notices.claim_mail(batch):
            _send(batch, counts)


def _send(batch: Batch, counts: str) -> None:
    subject = f"Batch “{batch.name}” has finished: {counts}"
    body = f"Your batch “{batch.name}” has finished: {counts}.\n\n{links.batch_page(batch)}\n"
    try:
        send_mail(subject, body, None, [batch.owner.email])
    except (smtplib.SMTPException, OSError) as error:
        state = batch_notices.mail_failed(batch)
        again = "will be tried again" if state == BatchMail.WANTED else "is given up"
        logger.warning("the e-mail about batch %s was not sent and %s: %s", batch.pk, again, error)
