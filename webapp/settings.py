"""All settings, read from the environment. `docs/configuration.md` is generated from them."""

from datetime import timedelta
from pathlib import Path
from urllib.parse import quote, urlsplit

import dj_database_url
from csp.constants import NONE, SELF
from dotenv import load_dotenv

from ml import checkpoint_info
from webapp import env

BASE_DIR = Path(__file__).resolve().parent.parent
load_dotenv(env.path("ENV_FILE", BASE_DIR / ".env"))

PORT = env.whole("PORT", 8000, most=65_535, meaning="The port of the web process.")
HOST = env.text(
    "HOST",
    "127.0.0.1",
    meaning="The address that the web process binds to; `0.0.0.0` means all interfaces.",
)
ORIGIN = env.origin(
    "ORIGIN",
    f"http://localhost:{PORT}",
    shown="http://localhost:8000",
    meaning="The public URL, without a path or a slash at the end. With `https://`, cookies are "
    "sent only over HTTPS; see below.",
)
DATA = env.path(
    "SONOSCOPE_DATA",
    BASE_DIR / "var",
    shown="var",
    meaning="The folder for all stored data; see below.",
).resolve()
MEDIA_ROOT = DATA / "media"

# --- accounts and security ----------------------------------------------------------------

ADMIN_USER = env.username(
    "ADMIN_USER",
    "admin",
    meaning="The username of the first administrator, who is created at the first start.",
)
ADMIN_PASSWORD = env.confided(
    "ADMIN_PASSWORD",
    meaning="The first administrator's password; if unset, one is generated and shown once.",
)
_SECURE = ORIGIN.startswith("https://")
SECRET_KEY_FILE = DATA / "secret_key"
SECRET_KEY = env.secret(
    "SECRET_KEY",
    SECRET_KEY_FILE,
    may_be_made=not _SECURE,
    meaning="The key that signs sessions. If unset, `SONOSCOPE_DATA/secret_key` is used; it is "
    "generated unless `ORIGIN` is `https://`.",
)
DEBUG = False
ALLOWED_HOSTS = sorted({urlsplit(ORIGIN).hostname or "localhost", "localhost", "127.0.0.1"})
CSRF_TRUSTED_ORIGINS = [ORIGIN]
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if _SECURE else None
SECURE_HSTS_SECONDS = 31_536_000 if _SECURE else 0
# Health checks may bypass the proxy, without TLS.
SECURE_SSL_REDIRECT = _SECURE
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]
# HSTS for subdomains and the preload list are the domain owner's decision.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"] if _SECURE else []
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _SECURE
CSRF_COOKIE_HTTPONLY = True
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "img-src": [SELF],
        "media-src": [SELF],
        "object-src": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}
SIGN_UP_OPEN = env.flag("SIGN_UP_OPEN", True, meaning="Whether visitors can create an account.")
# Against password guessing, django-axes locks a user name for one address. See sign_in.py.
LOCKED_MINUTES = 15
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
]
AXES_FAILURE_LIMIT = 10
AXES_COOLOFF_TIME = timedelta(minutes=LOCKED_MINUTES)
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_LOCKOUT_CALLABLE = "classifier.views.sign_in.locked"
AXES_CLIENT_IP_CALLABLE = "classifier.services.rate_limits.client_address"
AXES_RESET_ON_SUCCESS = True
# Sign-ins are not recorded, for privacy.
AXES_DISABLE_ACCESS_LOG = True
AXES_VERBOSE = False
# How long a link to reset a password works.
RESET_LINK_DAYS = 3
PASSWORD_RESET_TIMEOUT = RESET_LINK_DAYS * 86_400
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "login"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}Validator"}
    for name in ("UserAttributeSimilarity", "MinimumLength", "CommonPassword", "NumericPassword")
]

# --- e-mail -------------------------------------------------------------------------------

EMAIL_HOST = env.text(
    "EMAIL_HOST",
    meaning="The SMTP server that sends password resets and the news that a batch has finished, "
    "such as `smtp.example.org`; if unset, no e-mail is sent.",
)
DEFAULT_FROM_EMAIL = env.sender(
    "EMAIL_FROM",
    meaning="The sender of e-mails, such as `Sonoscope <sounds@example.org>`; required with "
    "`EMAIL_HOST`.",
)
EMAIL_PORT = env.whole("EMAIL_PORT", 587, most=65_535, meaning="The port of the SMTP server.")
_ENCRYPTION = env.one_of(
    "EMAIL_ENCRYPTION",
    ("starttls", "tls", "none"),
    meaning="How the connection to the SMTP server is encrypted: `starttls` (usually port 587), "
    "`tls` from the start (usually port 465) or `none`.",
)
EMAIL_USE_TLS = _ENCRYPTION == "starttls"
EMAIL_USE_SSL = _ENCRYPTION == "tls"
EMAIL_HOST_USER = env.text(
    "EMAIL_USER", meaning="The username at the SMTP server, if it requires one."
)
EMAIL_HOST_PASSWORD = env.confided(
    "EMAIL_PASSWORD", meaning="The password at the SMTP server; required with `EMAIL_USER`."
)
env.both_or_neither(EMAIL_HOST=EMAIL_HOST, EMAIL_FROM=DEFAULT_FROM_EMAIL)
env.both_or_neither(EMAIL_USER=EMAIL_HOST_USER, EMAIL_PASSWORD=EMAIL_HOST_PASSWORD)
EMAIL_TIMEOUT = 10  # seconds

# --- limits of uploads --------------------------------------------------------------------

MAX_UPLOAD_MB = env.whole("MAX_UPLOAD_MB", 100, meaning="Largest accepted file, in megabytes.")
MAX_UPLOAD_BYTES = MAX_UPLOAD_MB * 1_000_000
MAX_ZIP_BYTES = 2_000_000_000  # of a folder's ZIP, and of its unpacked files together
MAX_DURATION_S = env.whole("MAX_DURATION_S", 600, meaning="Longest accepted sound, in seconds.")
MAX_WAITING_CLIPS = env.whole(
    "MAX_WAITING_CLIPS",
    20_000,
    meaning="Maximum number of unfinished clips per user; superusers have no limit.",
)
MAX_GB_PER_DAY = env.whole(
    "MAX_GB_PER_DAY",
    50,
    meaning="Maximum upload per user in 24 hours, in gigabytes; superusers have no limit.",
)
MAX_DAY_BYTES = MAX_GB_PER_DAY * 1_000_000_000
KEEP_DAYS = env.whole(
    "KEEP_DAYS", 0, 36_500, least=0, meaning="Days after which clips are deleted; 0 means never."
)

# --- visitors: people without an account -----------------------------------------------------

VISITORS = env.flag(
    "VISITORS",
    True,
    meaning="Whether people without an account can try a sound on the front page; see "
    "[visitors](operations.md#visitors).",
)
VISITOR_MAX_MB = env.whole(
    "VISITOR_MAX_MB",
    10,
    meaning="Largest file of a visitor, in megabytes; at most `MAX_UPLOAD_MB`.",
)
VISITOR_MAX_BYTES = min(VISITOR_MAX_MB * 1_000_000, MAX_UPLOAD_BYTES)
VISITOR_MAX_DURATION_S = env.whole(
    "VISITOR_MAX_DURATION_S",
    60,
    meaning="Longest sound of a visitor, in seconds; at most `MAX_DURATION_S`.",
)
VISITOR_MAX_DURATION_S = min(VISITOR_MAX_DURATION_S, MAX_DURATION_S)
VISITOR_KEEP_MINUTES = env.whole(
    "VISITOR_KEEP_MINUTES",
    60,
    meaning="Minutes after which the sound and the result of a visitor are deleted.",
)
VISITOR_TRIES_PER_HOUR = env.whole(
    "VISITOR_TRIES_PER_HOUR",
    10,
    meaning="Maximum number of sounds that visitors can send per IP address per hour.",
)

# --- recordings ---------------------------------------------------------------------------

RECORDING_NAME_PATTERN = env.name_pattern(
    "RECORDING_NAME_PATTERN",
    meaning="How your file names state the start of a recording, such as `%d-%m-%Y_%Hh%M`; see "
    "[clock time](formats.md#clock-time).",
)

# --- the server ----------------------------------------------------------------------------

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "csp",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "knox",
    "axes.apps.AppConfig",
    "classifier",
]
MIDDLEWARE = [
    "webapp.middleware.refuse_misdirected",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "webapp.middleware.refuse_huge_bodies",
    "webapp.middleware.add_slash",
    "webapp.middleware.unlist_shared",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",
]
FILE_UPLOAD_HANDLERS = ["webapp.multipart.NamedFiles"]
ROOT_URLCONF = "webapp.urls"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "webapp" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "classifier.views.page_notices.finished_batch",
            ]
        },
    }
]
STATIC_URL = "static/"
STATIC_ROOT = DATA / "static"
STATICFILES_DIRS = [BASE_DIR / "webapp" / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en-gb"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{levelname} {name}: {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": "INFO"},
    # At INFO, axes logs five lines for every successful sign-in.
    "loggers": {"axes": {"level": "WARNING"}},
}

# --- database -----------------------------------------------------------------------------

_DATABASE_URL = env.confided(
    "DATABASE_URL",
    meaning="A PostgreSQL database, such as `postgres://user:password@localhost:5432/sonoscope`; "
    "if unset, SQLite is used.",
)
_DATABASE_PASSWORD = env.confided(
    "DATABASE_PASSWORD", meaning="The database password, if `DATABASE_URL` contains none."
)
if _DATABASE_URL:
    DATABASES = {
        "default": dj_database_url.parse(_DATABASE_URL, conn_max_age=60, conn_health_checks=True)
    }
    # Compiling a query takes longer than running it: all of ours read few rows.
    DATABASES["default"].setdefault("OPTIONS", {}).setdefault("options", "-c jit=off")
    if _DATABASE_PASSWORD:
        DATABASES["default"]["PASSWORD"] = _DATABASE_PASSWORD
else:
    DATABASES = {
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": str(DATA / "sonoscope.sqlite3"),
            "OPTIONS": {
                "timeout": 20,
                "transaction_mode": "IMMEDIATE",
                "init_command": (
                    "PRAGMA journal_mode=WAL;PRAGMA synchronous=NORMAL;PRAGMA mmap_size=134217728;"
                    "PRAGMA journal_size_limit=67108864;PRAGMA cache_size=-8000;"
                    "PRAGMA temp_store=MEMORY"
                ),
            },
        }
    }

# --- queue: messages only wake workers, the database holds the state --------------------------

REDIS_URL = env.confided(
    "REDIS_URL",
    meaning="A Redis or Valkey server, such as `redis://localhost:6379/0`; if unset, the embedded "
    "Valkey is used.",
)
BROKER_SOCKET = env.socket_path(DATA)
CELERY_BROKER_URL = REDIS_URL or f"redis+socket://{quote(str(BROKER_SOCKET))}?virtual_host=0"
LEASE_S = env.whole(
    "LEASE_S",
    60,
    meaning="Seconds after which clips are given to another worker if their worker stops renewing "
    "the lease.",
)
SWEEP_EVERY_S = env.whole("SWEEP_EVERY_S", 5, meaning="Seconds between two passes of the sweep.")
SWEEP_MARK = DATA / "run" / "last_sweep"
# The installed checkpoints are the files in these two folders and the one that CHECKPOINT names.
WEIGHTS = checkpoint_info.WEIGHTS
CHECKPOINTS = DATA / "checkpoints"
CHECKPOINT = env.path(
    "CHECKPOINT",
    checkpoint_info.SHIPPED,
    shown="the shipped checkpoint",
    meaning="The default checkpoint, a `.safetensors` file; uploads can request another installed "
    "one.",
)
INFERENCE = env.one_of(
    "INFERENCE",
    ("local", "modal"),
    meaning="Where workers run the network: on their own machine (`local`) or on a GPU on "
    "[Modal](modal.md) (`modal`).",
)
WORKER_THREADS = env.whole(
    "WORKER_THREADS",
    env.cores(),
    most=1024,
    shown="all available cores",
    meaning="Number of threads per worker. Set it if a container's CPU limit is lower than the "
    "number of cores.",
)

CELERY_TASK_ACKS_LATE = True
CELERY_TASK_IGNORE_RESULT = True
# In seconds. The longest recording has a fifth of its length, also on a slow and busy machine.
CELERY_TASK_SOFT_TIME_LIMIT = max(240, MAX_DURATION_S // 5)
CELERY_TASK_TIME_LIMIT = CELERY_TASK_SOFT_TIME_LIMIT + 60
CELERY_TASK_DEFAULT_QUEUE = "interactive"
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 3600,
    "unacked_restore_interval": 10,
    "unacked_restore_throttle": 1,
    "health_check_interval": 25,
    "socket_timeout": 30,
    "socket_connect_timeout": 3,
    "retry_on_timeout": True,
}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_BROKER_POOL_ACQUIRE_TIMEOUT = 5
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = 30
# Messages, not analyses: each clip sends one, and most find nothing to do.
CELERY_WORKER_MAX_TASKS_PER_CHILD = 20_000
CELERY_WORKER_MAX_MEMORY_PER_CHILD = 4_000_000  # KB
CELERY_WORKER_HIJACK_ROOT_LOGGER = False

# --- API ----------------------------------------------------------------------------------

# Request counters, shared by the web processes. Without the cache, requests are not counted.
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL or f"unix://{quote(str(BROKER_SOCKET))}?db=1",
        "KEY_PREFIX": "sonoscope",
        "OPTIONS": {"socket_timeout": 0.5, "socket_connect_timeout": 0.5},
    }
}
_PER_MINUTE = {
    "uploads": env.whole(
        "UPLOADS_PER_MINUTE", 600, meaning="Maximum number of API uploads per user per minute."
    ),
    "reads": env.whole(
        "READS_PER_MINUTE",
        6000,
        meaning="Maximum number of other API requests per user per minute.",
    ),
    "sign_ins": env.whole(
        "SIGN_INS_PER_MINUTE",
        20,
        meaning="Maximum number of sign-ins, sign-ups and password resets per IP address per "
        "minute.",
    ),
}
THROTTLE_RATES = {name: f"{count}/min" for name, count in _PER_MINUTE.items()} | {
    "tries": f"{VISITOR_TRIES_PER_HOUR}/hour",
    # Enough to look at the classes of each sound.
    "visitor_inspections": "20/min",
}

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "classifier.services.tokens.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    # Views that take a file say MultiPartParser themselves.
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "classifier.api.errors.on_error",
    # `format` is a filter of clips here.
    "URL_FORMAT_OVERRIDE": None,
    # Rate limits use the address that the proxy saw, or without a proxy the client's own.
    "NUM_PROXIES": 1 if _SECURE else 0,
}
# The descriptions are in classifier/api/schema.py.
SPECTACULAR_SETTINGS = {
    "TITLE": "Sonoscope",
    "VERSION": "1.0.0",
    "OAS_VERSION": "3.1.0",
    "COMPONENT_SPLIT_REQUEST": True,
    # Otherwise every field of a PATCH request is described as optional.
    "COMPONENT_SPLIT_PATCH": False,
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "ENUM_NAME_OVERRIDES": {
        "StateEnum": "classifier.models.State.values",
        "BatchStateEnum": "classifier.models.BatchState.values",
    },
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "classifier.api.schema.complete",
    ],
}
CLASSIFY_WAIT_S = env.whole(
    "CLASSIFY_WAIT_S",
    30,
    100,
    meaning="Seconds that `classify/` waits for a result before it returns 202.",
)
KNOX_TOKEN_MODEL = "classifier.ApiToken"  # noqa: S105 - the name of a model
